//! The guards of this release: the files of `charts/covenant/guards`, the one source for chart, tests and binary.
//!
//! May not: interpret them. A test fails when a file of that folder is not listed here.

/// File name and text of every guard file, in the order in which they are printed.
pub const FILES: [(&str, &str); 12] = [
    (
        "appointments.yaml",
        include_str!("../../charts/covenant/guards/appointments.yaml"),
    ),
    (
        "enrolment.yaml",
        include_str!("../../charts/covenant/guards/enrolment.yaml"),
    ),
    (
        "holds-records.yaml",
        include_str!("../../charts/covenant/guards/holds-records.yaml"),
    ),
    (
        "holds.yaml",
        include_str!("../../charts/covenant/guards/holds.yaml"),
    ),
    (
        "kinds.yaml",
        include_str!("../../charts/covenant/guards/kinds.yaml"),
    ),
    (
        "network.yaml",
        include_str!("../../charts/covenant/guards/network.yaml"),
    ),
    (
        "pods.yaml",
        include_str!("../../charts/covenant/guards/pods.yaml"),
    ),
    (
        "retention-records.yaml",
        include_str!("../../charts/covenant/guards/retention-records.yaml"),
    ),
    (
        "retention.yaml",
        include_str!("../../charts/covenant/guards/retention.yaml"),
    ),
    (
        "timers.yaml",
        include_str!("../../charts/covenant/guards/timers.yaml"),
    ),
    (
        "transit-controllers.yaml",
        include_str!("../../charts/covenant/guards/transit-controllers.yaml"),
    ),
    (
        "transit.yaml",
        include_str!("../../charts/covenant/guards/transit.yaml"),
    ),
];
