//! Which connections make room for which.

use super::*;

fn peer(number: u8) -> Option<IpNet> {
    Some(IpNet::from(std::net::IpAddr::from([192, 0, 2, number])))
}

fn is_over(place: &Place) -> bool {
    locked(&place.at).is_over
}

/// A request of somebody who is known.
fn known(place: &Place) -> InHand {
    let in_hand = place.seat().request(false).unwrap();
    assert!(in_hand.standing().prove());
    in_hand
}

fn room(most: usize, most_of_peer: usize) -> Arc<Places> {
    Arc::new(Places::new(most, most_of_peer, 1 << 20))
}

#[test]
fn a_peer_cannot_take_more_than_its_places_and_gets_them_back() {
    let places = room(10, 2);
    let (first, second) = (places.take(peer(1)).unwrap(), places.take(peer(1)).unwrap());
    let _in_hand = [known(&first), known(&second)];
    assert_eq!(places.take(peer(1)).unwrap_err(), NoPlace::OfPeer);
    let other = places.take(peer(2)).unwrap();
    drop(first);
    let _third = places.take(peer(1)).unwrap();
    drop(other);
    assert_eq!(locked(&places.taken).of_peers.len(), 1, "a peer without connections is forgotten");
    let proxies: Vec<Place> = (0..5).map(|_| places.take(None).unwrap()).collect();
    assert_eq!(places.count(), 2 + proxies.len(), "a proxy has no limit as a peer");
}

#[test]
fn a_peer_makes_room_among_its_own_connections_only() {
    let places = room(10, 2);
    let others = places.take(peer(2)).unwrap();
    let (idle, silent) = (places.take(peer(1)).unwrap(), places.take(peer(1)).unwrap());
    drop(known(&idle));
    let new = places.take(peer(1)).unwrap();
    assert!(is_over(&silent) && !is_over(&idle), "who has proven nothing goes first");
    let _in_hand = known(&new);
    let newer = places.take(peer(1)).unwrap();
    assert!(is_over(&idle) && !is_over(&new) && !is_over(&others));
    let _in_hand_too = known(&newer);
    assert_eq!(places.take(peer(1)).unwrap_err(), NoPlace::OfPeer);
    assert_eq!(places.count(), 3);
}

#[test]
fn the_oldest_that_proved_nothing_makes_room_and_none_with_a_known_request_does() {
    let places = room(3, 3);
    let (busy, idle, half_open) = (
        places.take(peer(1)).unwrap(),
        places.take(peer(1)).unwrap(),
        places.take(peer(2)).unwrap(),
    );
    let in_hand = known(&busy);
    drop(known(&idle));

    let second = places.take(peer(3)).unwrap();
    assert!(is_over(&half_open) && half_open.seat().request(false).is_none());
    let stranger = second.seat().request(false).unwrap();
    let third = places.take(peer(3)).unwrap();
    assert!(
        is_over(&second) && !is_over(&idle),
        "a stranger's request before an idle connection of a known client"
    );
    assert!(!stranger.standing().prove(), "it is too late");
    let _in_hand_too = known(&third);
    let fourth = places.take(peer(3)).unwrap();
    assert!(is_over(&idle));
    let _and_this = known(&fourth);
    assert_eq!(places.take(peer(4)).unwrap_err(), NoPlace::All);
    assert!(!is_over(&busy));

    drop((half_open, second, idle, stranger));
    assert_eq!(places.count(), 3, "who made room is not counted twice");
    drop(in_hand);
    let _fifth = places.take(peer(4)).unwrap();
    assert!(is_over(&busy));
}

#[test]
fn a_connection_with_several_requests_stays_while_one_of_them_is_known() {
    let places = room(1, 1);
    let place = places.take(peer(1)).unwrap();
    let (stranger, in_hand) =
        (place.seat().request(true).unwrap(), place.seat().request(true).unwrap());
    assert!(in_hand.standing().prove() && in_hand.standing().prove(), "twice is as once");
    let standing = stranger.standing();
    drop(stranger);
    assert!(standing.prove(), "an answered request counts no more");
    assert_eq!(places.take(peer(2)).unwrap_err(), NoPlace::All);
    let _stranger_too = place.seat().request(true).unwrap();
    drop(in_hand);
    let _second = places.take(peer(2)).unwrap();
    assert!(is_over(&place));
}

#[test]
fn large_buffers_of_those_who_proved_nothing_stay_within_a_bound_together() {
    const LARGE: usize = 100 << 10;
    let places = Arc::new(Places::new(100, 100, 3 * LARGE));
    let reads = |place: &Place| {
        // As a buffer grows, read by read.
        for bytes in [8 << 10, 16 << 10, 32 << 10, 44 << 10] {
            if !place.reads(bytes) {
                return false;
            }
            place.came(bytes);
        }
        true
    };
    let small: Vec<Place> = (0..10).map(|_| places.take(peer(1)).unwrap()).collect();
    assert!(small.iter().all(|place| place.reads(SMALL)));
    let known_one = places.take(peer(1)).unwrap();
    let in_hand = known(&known_one);
    assert!(known_one.reads(LARGE));
    assert_eq!(locked(&places.taken).buffered, 0, "who is known is not counted");

    let large: Vec<Place> = (0..10).map(|_| places.take(peer(1)).unwrap()).collect();
    for (at, place) in large.iter().enumerate() {
        assert!(reads(place), "the newest is read");
        let open = large.iter().take(at + 1).filter(|place| !is_over(place)).count();
        assert_eq!(open, (at + 1).min(3));
        assert!(locked(&places.taken).buffered <= 3 * LARGE);
    }
    assert!(!reads(&large[0]) && is_over(&large[0]), "the oldest went");
    assert!(small.iter().all(|place| !is_over(place)), "small ones are not concerned");

    drop(in_hand);
    assert!(!is_over(&known_one), "a known client's is idle, and goes after those of strangers");
    assert_eq!(large.iter().filter(|place| !is_over(place)).count(), 2);
    drop((large, known_one));
    let taken = locked(&places.taken);
    assert!(taken.buffered == 0 && taken.large.is_empty(), "{taken:?}");
}

#[test]
fn all_places_are_free_when_all_are_gone() {
    let places = room(2, 2);
    for round in 0..3 {
        let held: Vec<Place> = (0..4).map(|number| places.take(peer(number)).unwrap()).collect();
        let requests: Vec<_> = held.iter().map(|place| place.seat().request(round == 1)).collect();
        requests.iter().flatten().take(1).for_each(|request| assert!(request.standing().prove()));
        held.iter().for_each(|place| _ = place.reads(1 << 18));
        drop(held);
        drop(requests);
        let taken = locked(&places.taken);
        assert!(taken.all == 0 && taken.of_peers.is_empty() && taken.spare.is_empty(), "{taken:?}");
        assert!(taken.large.is_empty() && taken.buffered == 0, "{taken:?}");
    }
}
