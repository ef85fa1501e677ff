use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use tokio::sync::Notify;

use super::*;

#[derive(Default)]
struct Counter(AtomicU32);

impl Counter {
    /// A request that takes a second and answers how many there were.
    fn ask(self: &Arc<Self>) -> impl Future<Output = Result<u32, StoreError>> + Send + 'static {
        let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(number)
        }
    }
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
    assert!(flights.0.lock().unwrap().is_empty(), "both have landed");
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

struct Tell(Arc<Notify>);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

fn scopeguard(notify: Arc<Notify>) -> Tell {
    Tell(notify)
}
