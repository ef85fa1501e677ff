use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use tokio::sync::Notify;

use super::*;

#[derive(Default)]
struct Counter(AtomicU32);

impl Counter {
    /// A request that takes a second and returns the number of requests made so far.
    fn ask(self: &Arc<Self>) -> impl Future<Output = Result<u32, StoreError>> + Send + 'static {
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(number)
        }
    }
}

fn under_way<T>(flights: &Flights<u8, T>) -> usize {
    flights.0.lock().unwrap().flights.len()
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn many_who_ask_at_once_are_one_request() {
    let (flights, counter) = (Flights::<u8, u32>::default(), Arc::new(Counter::default()));
    let answers = join_all((0..1000).map(|_| flights.join(&7, LONG, || counter.ask()))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap() == 1));
    assert_eq!(flights.join(&7, LONG, || counter.ask()).await.unwrap(), 2, "what has landed is no flight any more");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_began_too_long_ago_is_not_waited_for() {
    let (flights, counter) = (Flights::<u8, u32>::default(), Arc::new(Counter::default()));
    let late = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        flights.join(&7, Duration::from_millis(400), || counter.ask()).await
    };
    let (early, late) = tokio::join!(flights.join(&7, LONG, || counter.ask()), late);
    assert_eq!((early.unwrap(), late.unwrap()), (1, 2));
    assert_eq!(under_way(&flights), 0, "both have landed");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_to_all() {
    let flights = Flights::<u8, u32>::default();
    let fail = || async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Err(StoreError::new(StoreErrorKind::Unavailable, "some/key", "the store is asleep"))
    };
    let (first, second) = tokio::join!(flights.join(&7, LONG, fail), flights.join(&7, LONG, fail));
    for error in [first.unwrap_err(), second.unwrap_err()] {
        assert!(error.is_retryable() && error.key == "some/key", "{error}");
        assert!(error.to_string().contains("the store is asleep"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_does_not_take_the_answer_along() {
    let (flights, counter) = (Flights::<u8, u32>::default(), Arc::new(Counter::default()));
    let leaver = tokio::time::timeout(Duration::from_millis(10), flights.join(&7, LONG, || counter.ask()));
    let (left, answer) = tokio::join!(leaver, flights.join(&7, LONG, || counter.ask()));
    assert!(left.is_err());
    assert_eq!(answer.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_all_have_left_ends_and_is_not_joined() {
    let (flights, ended) = (Flights::<u8, u32>::default(), Arc::new(Notify::new()));
    let tell = Arc::clone(&ended);
    let hang = move || async move {
        let _tell = scopeguard(tell);
        std::future::pending::<Result<u32, StoreError>>().await
    };
    tokio::time::timeout(Duration::from_millis(10), flights.join(&7, LONG, hang)).await.unwrap_err();
    let counter = Arc::new(Counter::default());
    assert_eq!(flights.join(&7, LONG, || counter.ask()).await.unwrap(), 1);
    tokio::time::timeout(Duration::from_secs(5), ended.notified()).await.expect("the request was given up");
}

#[tokio::test(start_paused = true)]
async fn nothing_stays_of_a_request_that_all_have_left() {
    let (flights, held) = (Flights::<u8, Arc<()>>::default(), Arc::new(()));
    for key in 0..100 {
        let result = Arc::clone(&held);
        let ask = || async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(result)
        };
        let (one, other) = (flights.join(&key, LONG, ask), flights.join(&key, LONG, std::future::pending));
        let both = futures_util::future::join(one, other);
        tokio::time::timeout(Duration::from_millis(10), both).await.unwrap_err();
    }
    assert_eq!(under_way(&flights), 0);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(Arc::strong_count(&held), 1, "neither tasks nor results are kept");
}

#[tokio::test(start_paused = true)]
async fn a_result_that_nobody_fetched_is_not_kept() {
    let (flights, held) = (Flights::<u8, Arc<()>>::default(), Arc::new(()));
    let result = Arc::clone(&held);
    let waiter = Box::pin(flights.join(&7, LONG, || async move { Ok(result) }));
    // Polled once, then not again until the request has completed.
    let mut waiter = futures_util::future::maybe_done(waiter);
    assert!(futures_util::poll!(&mut waiter).is_pending());
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(waiter);
    assert_eq!((under_way(&flights), Arc::strong_count(&held)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_panics_fails_for_all_and_leaves_nothing() {
    let flights = Flights::<u8, u32>::default();
    let ask = || async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        panic!("injected")
    };
    let (first, second) = tokio::join!(flights.join(&7, LONG, ask), flights.join(&7, LONG, ask));
    assert!(first.is_err() && second.is_err());
    assert_eq!(under_way(&flights), 0);
}

#[tokio::test(start_paused = true)]
async fn an_old_request_that_ends_does_not_take_the_place_of_a_newer_one() {
    let (flights, counter) = (Flights::<u8, u32>::default(), Arc::new(Counter::default()));
    let newer = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let newer = flights.join(&7, Duration::ZERO, || counter.ask());
        let joined = async {
            // By now the first request has completed.
            tokio::time::sleep(Duration::from_millis(700)).await;
            flights.join(&7, LONG, || counter.ask()).await
        };
        tokio::join!(newer, joined)
    };
    let (oldest, (newer, joined)) = tokio::join!(flights.join(&7, LONG, || counter.ask()), newer);
    assert_eq!((oldest.unwrap(), newer.unwrap(), joined.unwrap()), (1, 2, 2));
}

struct Tell(Arc<Notify>);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

fn scopeguard(notify: Arc<Notify>) -> Tell {
    Tell(notify)
}
