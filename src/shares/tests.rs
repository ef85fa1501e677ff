use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::*;

const WAIT: Duration = Duration::from_secs(60);

fn owner(name: &str) -> Owner {
    Owner::new(name)
}

/// As many grants of `amount` as there are.
async fn take_all(shares: &Shares, name: &str, amount: u64) -> Vec<Grant> {
    let mut taken = Vec::new();
    for _ in 0..shares.total() / amount {
        taken.push(shares.take(&owner(name), amount, WAIT).await.unwrap());
    }
    taken
}

/// Holds grants like slow clients do: they use up `pace` units a second, and let go soon after they are asked to.
fn hold_slowly(grants: Vec<Grant>, pace: u64) {
    for grant in grants {
        tokio::spawn(async move {
            let mut used = 0;
            while !grant.is_revoked() && used < grant.amount() {
                sleep(Duration::from_millis(500)).await;
                used += pace / 2;
                grant.report(used.min(grant.amount()));
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn one_owner_may_have_all_while_nobody_else_waits() {
    let shares = Shares::new(10);
    let taken = take_all(&shares, "a", 5).await;
    assert_eq!(taken.len(), 2);
    assert!(shares.take(&owner("a"), 1, Duration::from_secs(3)).await.is_none());
    assert!(taken.iter().all(|grant| !grant.is_revoked()), "not for the same owner, so soon");
    drop(taken);
    assert_eq!(shares.take(&owner("a"), 1000, WAIT).await.unwrap().amount(), 10, "more than all is all");
}

#[tokio::test(start_paused = true)]
async fn what_is_released_goes_to_whoever_holds_least() {
    let shares = Shares::new(4);
    let mut taken = take_all(&shares, "a", 1).await;
    taken.iter().for_each(Grant::keep);
    let waiting = |name: &'static str| {
        let shares = shares.clone();
        tokio::spawn(async move { (name, shares.take(&owner(name), 1, WAIT).await.unwrap()) })
    };
    let greedy: Vec<_> = (0..3).map(|_| waiting("a")).collect();
    sleep(Duration::from_secs(1)).await;
    let modest = waiting("b");
    sleep(Duration::from_secs(1)).await;
    taken.pop();
    let (name, _grant) = modest.await.unwrap();
    assert_eq!(name, "b");
    assert!(greedy.iter().all(|greedy| !greedy.is_finished()));
}

#[tokio::test(start_paused = true)]
async fn owners_share_what_one_of_them_fills_slowly() {
    let shares = Shares::new(100);
    hold_slowly(take_all(&shares, "a", 10).await, 1);
    let mut others = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        let grant = shares.take(&owner("b"), 10, WAIT).await.expect("a share");
        grant.keep();
        others.push(grant);
        assert!(began.elapsed() < Duration::from_secs(3), "{:?} for {}", began.elapsed(), others.len());
    }
    assert!(shares.take(&owner("b"), 10, Duration::from_secs(5)).await.is_none(), "that would be more than half");
}

#[tokio::test(start_paused = true)]
async fn owners_with_one_grant_each_do_not_lose_it_to_the_next() {
    let shares = Shares::new(100);
    for name in 0..10 {
        let grant = shares.take(&owner(&name.to_string()), 10, WAIT).await.unwrap();
        hold_slowly(vec![grant], 2);
    }
    let began = Instant::now();
    shares.take(&owner("b"), 10, WAIT).await.expect("what is used up comes back");
    assert!(began.elapsed() > Duration::from_secs(4), "used up at 2 units a second, not revoked");
}

#[tokio::test(start_paused = true)]
async fn even_of_equals_the_slowest_goes_in_the_end() {
    let shares = Shares::new(20);
    let quick = shares.take(&owner("a"), 10, WAIT).await.unwrap();
    quick.report(10);
    let stalled = shares.take(&owner("b"), 10, WAIT).await.unwrap();
    hold_slowly(vec![stalled], 0);
    shares.take(&owner("c"), 10, WAIT).await.expect("the place of the stalled one");
    assert!(!quick.is_revoked());
}

#[tokio::test(start_paused = true)]
async fn what_its_holder_is_done_with_soon_is_not_revoked() {
    let shares = Shares::new(100);
    let kept = take_all(&shares, "a", 50).await;
    kept[0].keep();
    kept[1].report(50);
    assert!(shares.take(&owner("b"), 50, WAIT).await.is_none());
    assert!(kept.iter().all(|grant| !grant.is_revoked()));
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_waiting_leaves_nothing_behind() {
    let shares = Shares::new(10);
    let all = shares.take(&owner("a"), 10, WAIT).await.unwrap();
    all.keep();
    for _ in 0..100 {
        assert!(shares.take(&owner("b"), 10, Duration::from_millis(10)).await.is_none());
    }
    let waiting = {
        let shares = shares.clone();
        tokio::spawn(async move { shares.take(&owner("b"), 10, WAIT).await })
    };
    sleep(Duration::from_millis(10)).await;
    waiting.abort();
    let _ = waiting.await;
    let small = {
        let shares = shares.clone();
        tokio::spawn(async move { shares.take(&owner("c"), 1, WAIT).await })
    };
    sleep(Duration::from_millis(10)).await;
    drop(all);
    assert!(small.await.unwrap().is_some());
    let state = shares.state();
    assert!(state.free == 10 && state.held.is_empty() && state.grants.is_empty() && state.waiting.is_empty());
}

const MIB: usize = 1 << 20;

#[tokio::test(start_paused = true)]
async fn memory_follows_what_arrives() {
    let memory = Memory::new(16 * MIB as u64, WAIT);
    let mut slow: Vec<Room> = (0..100).map(|_| memory.room(owner("a"))).collect();
    for room in &mut slow {
        assert!(room.grow(1000, 8 * MIB).await.unwrap() < 16 << 10);
    }
    let mut whole = memory.room(owner("b"));
    for wanted in [1000, 100_000, MIB] {
        assert!(whole.grow(wanted, 8 * MIB).await.unwrap() >= wanted);
    }
    assert_eq!((whole.size(), whole.take().unwrap().amount()), (8 * MIB, 8 * MIB as u64));
    assert_eq!(whole.size(), 0);
}

#[tokio::test(start_paused = true)]
async fn slow_buffers_lose_their_memory_to_those_of_others() {
    let memory = Memory::new(16 * MIB as u64, WAIT);
    // They reach for a whole each, and then stall.
    for _ in 0..3 {
        let mut room = memory.room(owner("a"));
        room.grow(MIB, 4 * MIB).await.unwrap();
        tokio::spawn(async move {
            while room.check(MIB) == Ok(()) {
                sleep(Duration::from_millis(500)).await;
            }
        });
    }
    let began = Instant::now();
    memory.room(owner("b")).grow(MIB, 4 * MIB).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn more_whole_buffers_than_fit_are_filled_one_after_the_other() {
    let memory = Memory::new(16 * MIB as u64, WAIT);
    let mut tasks = tokio::task::JoinSet::new();
    for name in 0..100 {
        let mut room = memory.room(owner(&(name % 3).to_string()));
        tasks.spawn(async move {
            for held in (0..=4 * MIB).step_by(64 << 10) {
                room.grow(held, 4 * MIB).await?;
                room.check(held)?;
                tokio::task::yield_now().await;
            }
            let _taken = room.take();
            sleep(Duration::from_millis(100)).await;
            Ok::<_, RoomError>(())
        });
    }
    assert!(tasks.join_all().await.into_iter().all(|filled| filled.is_ok()));
}
