//! What holds of every plan: it does not depend on the order in which the World was filled, and a change marks whatever it
//! affects. That planning comes to rest and passes the linter is seen whenever a [`Cluster`] settles.

use covenant::plan::plan;
use proptest::collection::vec;
use proptest::prelude::*;
use testbed::effort::cases;

use crate::cluster::{Cluster, is_item, text, unit};
use crate::oracle::retention::Known;
use crate::worlds::{Scene, scene};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(250)) })]

    #[test]
    fn planning_retention_is_independent_of_the_order_in_which_the_world_was_filled(scene in scene(), seed in any::<u64>()) {
        let forward = Cluster::new(&scene);
        let mut objects = scene.objects.clone();
        objects.sort_by_key(|object| object.to_string().bytes().fold(seed, |sum, byte| sum.rotate_left(7) ^ u64::from(byte)));
        let other = Cluster::new(&Scene { objects, known: scene.known.clone() });
        prop_assert_eq!(forward.plan(), other.plan());
    }

    /// Replanning only when a change marks the namespace gives the same as planning anew each time.
    #[test]
    fn what_a_change_does_to_retention_is_marked(before in scene(), after in scene(), gone in vec(any::<bool>(), 24)) {
        let mut cluster = Cluster::new(&before);
        let now = cluster.now();
        let mut planned = cluster.plan();
        for (object, gone) in after.objects.iter().zip(gone) {
            cluster.is_marked();
            if gone && is_item(object) {
                cluster.remove(text(object, "/metadata/name"));
            } else {
                cluster.put(object.clone());
            }
            if cluster.is_marked() {
                planned = cluster.plan();
            }
            prop_assert_eq!(&planned, &plan(&cluster.world, &unit(), now), "after {}", object);
        }
        cluster.known = Known { now: before.known.now, ..after.known };
        cluster.tell();
        if cluster.is_marked() {
            planned = cluster.plan();
        }
        prop_assert_eq!(&planned, &plan(&cluster.world, &unit(), now), "{:?}", cluster.known);
    }
}
