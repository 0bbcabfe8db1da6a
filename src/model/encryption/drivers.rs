//! The table of drivers: what a StorageClass of each must say so that its volumes are encrypted with AES-256.
//!
//! docs/encryption.md prints the same rows, and a test compares them. A row proves nothing that was not read in the driver's
//! own sources or manual; where only somebody could know, the class is attested. May not: be replaced by a baseline.

use std::fmt;

/// A driver's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Driver {
    /// Its provisioner.
    pub provisioner: &'static str,
    /// What its classes can show.
    pub shows: Shows,
    /// Where that was read.
    pub source: &'static str,
    /// How far it was checked.
    pub checked: Checked,
}

/// What the classes of a driver can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// With all of these parameters, volumes are encrypted like this.
    Parameters(&'static [Demand], &'static str),
    /// Nothing: why, and what to do instead.
    Nothing(&'static str),
}

/// A parameter that must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Its name.
    pub name: &'static str,
    /// Its value must be one of these; any that is not empty where there are none.
    pub values: &'static [&'static str],
    /// Whether it may be left out.
    pub optional: bool,
}

/// How far a row was checked. No row was tried with a driver that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// In the sources of the driver.
    Sources,
    /// In its manual.
    Manual,
    /// Not at all: what is said of it is not relied on.
    Not,
}

impl fmt::Display for Checked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Sources => "sources read",
            Self::Manual => "manual read",
            Self::Not => "not verified",
        })
    }
}

const fn must(name: &'static str, values: &'static [&'static str]) -> Demand {
    Demand {
        name,
        values,
        optional: false,
    }
}

const fn may(name: &'static str, values: &'static [&'static str]) -> Demand {
    Demand {
        name,
        values,
        optional: true,
    }
}

/// Every row, by provisioner.
pub const TABLE: [Driver; 17] = [
    Driver {
        provisioner: "csi.cloudscale.ch",
        shows: Shows::Parameters(
            &[
                must("csi.cloudscale.ch/luks-encrypted", &["true"]),
                must("csi.cloudscale.ch/luks-cipher", &["aes-xts-plain64"]),
                must("csi.cloudscale.ch/luks-key-size", &["512"]),
            ],
            "LUKS aes-xts-plain64 512, which is AES-256",
        ),
        source: "cloudscale-ch/csi-cloudscale README.md, driver/luks_util.go",
        checked: Checked::Sources,
    },
    Driver {
        provisioner: "csi.hetzner.cloud",
        shows: Shows::Nothing("a passphrase in a Secret decides, which the class does not show"),
        source: "hetznercloud/csi-driver docs/kubernetes/README.md",
        checked: Checked::Not,
    },
    Driver {
        provisioner: "csi.trident.netapp.io",
        shows: Shows::Nothing("the backend decides, which the class does not show"),
        source: "Trident manual, backend options `encryption` and `luksEncryption`",
        checked: Checked::Not,
    },
    Driver {
        provisioner: "disk.csi.azure.com",
        shows: Shows::Parameters(
            &[must("diskEncryptionSetID", &[])],
            "server-side encryption with the key of the set, AES-256 by the provider's manual",
        ),
        source: "kubernetes-sigs/azuredisk-csi-driver docs/driver-parameters.md",
        checked: Checked::Sources,
    },
    Driver {
        provisioner: "dobs.csi.digitalocean.com",
        shows: Shows::Nothing(
            "the provider encrypts below the driver, which the class does not show",
        ),
        source: "the provider's manual",
        checked: Checked::Not,
    },
    Driver {
        provisioner: "driver.longhorn.io",
        shows: Shows::Nothing(
            "the key's size stands in a Secret and is AES-128 unless CRYPTO_KEY_SIZE is 512 there, which the class does not show",
        ),
        source: "longhorn/website 1.13.0, volume encryption",
        checked: Checked::Manual,
    },
    Driver {
        provisioner: "ebs.csi.aws.com",
        shows: Shows::Parameters(
            &[must("encrypted", &["true"])],
            "EBS encryption with the account's or `kmsKeyId`'s key, AES-256 by the provider's manual",
        ),
        source: "kubernetes-sigs/aws-ebs-csi-driver docs/parameters.md",
        checked: Checked::Sources,
    },
    Driver {
        provisioner: "io.openebs.csi-mayastor",
        shows: Shows::Nothing(
            "the DiskPool's key decides, in the manual's example two of 128 bits, which is AES-128",
        ),
        source: "OpenEBS manual, DiskPool v1beta3",
        checked: Checked::Manual,
    },
    Driver {
        provisioner: "kubernetes.io/no-provisioner",
        shows: Shows::Nothing("whoever prepared the disk decides, which the class does not show"),
        source: "Kubernetes manual, local volumes",
        checked: Checked::Manual,
    },
    Driver {
        provisioner: "linodebs.csi.linode.com",
        shows: Shows::Parameters(
            &[
                must("linodebs.csi.linode.com/luks-encrypted", &["true"]),
                must("linodebs.csi.linode.com/luks-cipher", &["aes-xts-plain64"]),
                must("linodebs.csi.linode.com/luks-key-size", &["512"]),
            ],
            "LUKS aes-xts-plain64 512, which is AES-256",
        ),
        source: "linode/linode-blockstorage-csi-driver docs/encrypted-drives.md, internal/driver/luks.go",
        checked: Checked::Sources,
    },
    Driver {
        provisioner: "local.csi.openebs.io",
        shows: Shows::Nothing("nothing is encrypted but by what lies below the volume group"),
        source: "openebs/lvm-localpv docs/storageclasses.md",
        checked: Checked::Manual,
    },
    Driver {
        provisioner: "openebs.io/local",
        shows: Shows::Nothing("it is a folder of the node, encrypted only as the node's disk is"),
        source: "OpenEBS manual, hostpath",
        checked: Checked::Manual,
    },
    Driver {
        provisioner: "pd.csi.storage.gke.io",
        shows: Shows::Parameters(
            &[must("disk-encryption-kms-key", &[])],
            "encryption with the customer's key, AES-256 by the provider's manual",
        ),
        source: "kubernetes-sigs/gcp-compute-persistent-disk-csi-driver README.md",
        checked: Checked::Sources,
    },
    Driver {
        provisioner: "pxd.portworx.com",
        shows: Shows::Parameters(
            &[must("secure", &["true"])],
            "dm-crypt LUKS aes-xts-plain64 256, by the manual AES-256",
        ),
        source: "Portworx manual, encrypted volumes",
        checked: Checked::Manual,
    },
    Driver {
        provisioner: "rbd.csi.ceph.com",
        shows: Shows::Parameters(
            &[
                must("encrypted", &["true"]),
                must("encryptionKMSID", &[]),
                may("encryptionType", &["block"]),
            ],
            "LUKS2 with the defaults of cryptsetup, aes-xts-plain64 512, which is AES-256",
        ),
        source: "ceph/ceph-csi internal/util/cryptsetup.go",
        checked: Checked::Sources,
    },
    Driver {
        provisioner: "storage.csi.upcloud.com",
        shows: Shows::Nothing(
            "`encryption: data-at-rest` encrypts by an algorithm that is not named",
        ),
        source: "UpCloudLtd/upcloud-csi example/encryption.md",
        checked: Checked::Manual,
    },
    Driver {
        provisioner: "zfs.csi.openebs.io",
        shows: Shows::Nothing(
            "the pool or dataset decides; a parameter for it was not found in the driver's manual",
        ),
        source: "openebs/zfs-localpv docs/storageclasses.md",
        checked: Checked::Manual,
    },
];

/// The row of a provisioner.
#[must_use]
pub fn of(provisioner: &str) -> Option<&'static Driver> {
    TABLE.iter().find(|row| row.provisioner == provisioner)
}
