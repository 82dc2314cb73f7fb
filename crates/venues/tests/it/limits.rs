//! Budgets.

use market::Timestamp;
use std::time::Duration;
use venues::Group as _;
use venues::{Priority, Share, binance, upbit};

fn ms(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

#[test]
fn upbit_allows_ten_per_second_and_group() {
    use upbit::limits::{Budget, Group};
    let mut budget = Budget::new();
    for i in 0..10 {
        assert_eq!(budget.try_take(Group::Orderbook, 1, ms(i * 10), 1.0), Ok(()));
    }
    assert_eq!(budget.try_take(Group::Orderbook, 1, ms(500), 1.0), Err(ms(1_000)));
    assert_eq!(budget.try_take(Group::Ticker, 1, ms(500), 1.0), Ok(()));
    assert!(budget.ratio_left(Group::Orderbook, ms(500)) == 0.0);
    assert_eq!(budget.try_take(Group::Orderbook, 1, ms(1_000), 1.0), Ok(()));
    assert_eq!(budget.try_take(Group::Orderbook, 1, ms(1_000), 1.0), Err(ms(1_010)));
    assert!(budget.ratio_left(Group::Orderbook, ms(5_000)) == 1.0);
}

#[test]
fn a_share_leaves_room_for_others() {
    use upbit::limits::{Budget, Group};
    let mut budget = Budget::new();
    assert_eq!(budget.try_take(Group::Candle, 1, ms(0), 0.2), Ok(()));
    assert_eq!(budget.try_take(Group::Candle, 1, ms(1), 0.2), Ok(()));
    assert_eq!(budget.try_take(Group::Candle, 1, ms(2), 0.2), Err(ms(1_000)));
    assert_eq!(budget.try_take(Group::Candle, 1, ms(2), 0.8), Ok(()));
    // A share below one request lets one through an empty window.
    assert_eq!(budget.try_take(Group::Market, 1, ms(2), 0.01), Ok(()));
    assert_eq!(budget.try_take(Group::Market, 1, ms(3), 0.01), Err(ms(1_002)));
}

#[test]
fn messages_have_two_windows() {
    use upbit::limits::{Budget, Group};
    let mut budget = Budget::new();
    let mut now = 0;
    for _ in 0..100 {
        while budget.try_take(Group::Message, 1, ms(now), 1.0).is_err() {
            now += 50;
        }
    }
    assert!((19_000..20_000).contains(&now), "{now}");
    assert_eq!(budget.try_take(Group::Message, 1, ms(30_000), 1.0), Err(ms(60_000)));
}

#[test]
fn binance_counts_weight() {
    use binance::limits::{Budget, Group, depth_weight, observe_header};
    let weights = [5, 100, 101, 500, 501, 1_000, 1_001, 5_000].map(depth_weight);
    assert_eq!(weights, [5, 5, 25, 25, 50, 50, 250, 250]);
    // The trap: 50 symbols with 5 000 levels at once are a ban.
    let mut budget = Budget::new();
    let sent = (0..50).filter(|_| budget.try_take(Group::Weight, 250, ms(0), 0.8).is_ok()).count();
    assert_eq!(sent, 19);
    assert_eq!(budget.try_take(Group::Weight, 250, ms(100), 0.8), Err(ms(60_000)));
    // Someone else on this address used more.
    let mut budget = Budget::new();
    assert_eq!(budget.try_take(Group::Weight, 50, ms(0), 1.0), Ok(()));
    observe_header(&mut budget, "5990", ms(10));
    assert_eq!(budget.try_take(Group::Weight, 20, ms(20), 1.0), Err(ms(60_000)));
    assert_eq!(budget.try_take(Group::Weight, 10, ms(20), 1.0), Ok(()));
    observe_header(&mut budget, "nonsense", ms(30));
    assert_eq!(budget.try_take(Group::Weight, 6_001, ms(500_000), 1.0), Err(Timestamp(i64::MAX)));
}

#[test]
fn the_header_of_upbit_counts_by_second() {
    use upbit::limits::{Budget, Group, observe_header, remaining_sec};
    assert_eq!(remaining_sec("group=default; min=1799; sec=9"), Some(9));
    assert_eq!(remaining_sec("group=default"), None);
    let mut budget = Budget::new();
    observe_header(&mut budget, Group::Market, "group=market; min=600; sec=1", ms(0));
    assert_eq!(budget.try_take(Group::Market, 1, ms(1), 1.0), Ok(()));
    assert_eq!(budget.try_take(Group::Market, 1, ms(2), 1.0), Err(ms(1_000)));
}

#[test]
fn a_punishment_stops_everything_until_it_ends() {
    use binance::limits::{Budget, Group};
    let mut budget = Budget::new();
    budget.punished(ms(1_000).plus(Duration::from_secs(120)));
    budget.punished(ms(2_000));
    for group in Group::ALL {
        assert_eq!(budget.try_take(*group, 1, ms(5_000), 1.0), Err(ms(121_000)));
        assert!(budget.ratio_left(*group, ms(5_000)) == 0.0);
    }
    assert_eq!(budget.blocked_until(ms(5_000)), Some(ms(121_000)));
    assert_eq!(budget.try_take(Group::Weight, 1, ms(121_000), 1.0), Ok(()));
    assert_eq!(budget.blocked_until(ms(121_000)), None);
}

/// A request counts from its sending until a window after its answer: whenever the venue counts it, no window of the venue's
/// holds more than the share.
#[test]
fn slow_answers_do_not_bunch_requests_in_a_window_of_the_venue() {
    use upbit::limits::{Budget, Group};
    let share = Share { total: 0.8, own: 1.0 };
    // The time that the venue counts a request, between sending and answer; and the time of the answer.
    for (counted_after, answered_after) in [(0, 5), (5, 5), (0, 900), (900, 900), (450, 2_500)] {
        let mut budget = Budget::new();
        let (mut open, mut counted): (Vec<i64>, Vec<i64>) = (Vec::new(), Vec::new());
        for now in 0..20_000 {
            open.retain(|answer| {
                if *answer <= now {
                    budget.finish(Group::Candle, 1, Priority::Levels, ms(now));
                }
                *answer > now
            });
            while budget.begin(Group::Candle, 1, Priority::Levels, ms(now), share).is_ok() {
                open.push(now + answered_after);
                counted.push(now + counted_after);
            }
        }
        let most =
            counted.iter().map(|t| counted.iter().filter(|u| (*t..*t + 1_000).contains(u)).count()).max();
        assert_eq!(most, Some(8), "counted after {counted_after} ms, answered after {answered_after} ms");
    }
}

/// A refresh never has more than a fifth of a budget, and leaves what the others need.
#[test]
fn priorities_leave_room_for_those_before_them() {
    use binance::limits::{Budget, Group};
    let share = |by: Priority| Share { total: by.share(), own: by.own_share() };
    let mut budget = Budget::new();
    let mut take = |by: Priority, weight: u32, now: i64| {
        let taken = budget.begin(Group::Weight, weight, by, ms(now), share(by));
        taken.inspect(|()| budget.finish(Group::Weight, weight, by, ms(now))).is_ok()
    };
    let refresh = (0..100).filter(|_| take(Priority::Refresh, 25, 0)).count();
    assert_eq!(refresh, 48, "1 200 of 6 000");
    let levels = (0..4_000).filter(|_| take(Priority::Levels, 2, 1)).count();
    assert_eq!(levels, 1_740, "up to 4 680");
    assert!(!take(Priority::Refresh, 5, 2), "beyond its own share");
    let books = (0..100).filter(|_| take(Priority::Books, 25, 3)).count();
    assert_eq!(books, 4, "up to 4 800");
    assert!(!take(Priority::Books, 25, 59_999));
    assert!(take(Priority::Books, 25, 60_000));
    assert!(Priority::ALL.windows(2).all(|two| two[0] < two[1] && two[0].share() >= two[1].share()));
}
