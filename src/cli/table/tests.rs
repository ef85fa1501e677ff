use super::*;

const COLUMNS: [Column; 5] = [
    Column::number("N"),
    Column::text("LABEL", 6),
    Column::time("WHEN (UTC)"),
    Column::digest("MANIFEST").optional(1),
    Column::number("FILES").optional(2),
];

fn table() -> Table {
    let mut table = Table::new(&COLUMNS);
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    for (number, label) in [("7", "short"), ("12", "a label of many words")] {
        let when = "2026-05-14T18:20:00Z".to_owned();
        table.add([number.to_owned(), label.to_owned(), when, digest.clone(), "3".to_owned()]);
    }
    table
}

#[test]
fn without_a_limit_everything_is_whole_and_aligned() {
    let shown = table().fitted(None);
    let digest = "0123456789abcdef".repeat(4);
    let space = " ".repeat(71 - 8);
    assert_eq!(
        shown,
        format!(
            " N  LABEL                  WHEN (UTC)            MANIFEST{space}  FILES
 7  short                  2026-05-14T18:20:00Z  sha256:{digest}      3
12  a label of many words  2026-05-14T18:20:00Z  sha256:{digest}      3"
        )
    );
}

#[test]
fn texts_are_cut_first_then_columns_are_left_out() {
    assert_eq!(
        table().fitted(Some(64)),
        " N  LABEL                  WHEN (UTC)        MANIFEST      FILES
 7  short                  2026-05-14 18:20  0123456789ab      3
12  a label of many words  2026-05-14 18:20  0123456789ab      3"
    );
    let narrower = table().fitted(Some(50));
    assert!(narrower.contains("12  a labe…  2026-05-14 18:20  0123456789ab      3"), "{narrower}");
    let narrow = table().fitted(Some(46));
    assert!(narrow.contains("12  a label o…  2026-05-14 18:20  0123456789ab"), "{narrow}");
    assert!(!narrow.contains("FILES"), "{narrow}");
    assert!(table().fitted(Some(30)).ends_with("12  a label…  2026-05-14 18:20"));
    for width in 28..120 {
        let shown = table().fitted(Some(width));
        assert!(shown.lines().all(|line| line.width() <= width), "{width}\n{shown}");
    }
}

#[test]
fn wide_characters_count_as_two_columns() {
    let mut table = Table::new(&[Column::text("LABEL", 4), Column::whole("X")]);
    table.add(["\u{65e5}\u{672c}\u{8a9e}\u{7248}".to_owned(), "x".to_owned()]);
    table.add(["e\u{301}t\u{e9}".to_owned(), "x".to_owned()]);
    assert_eq!(table.fitted(Some(9)), "LABEL   X\n\u{65e5}\u{672c}…   x\ne\u{301}t\u{e9}     x");
    assert_eq!(cut("\u{65e5}\u{672c}", 4), "\u{65e5}\u{672c}");
    assert_eq!(cut("\u{65e5}\u{672c}", 3), "\u{65e5}…");
}

#[test]
fn cells_are_for_people() {
    assert_eq!(size(0), "0 B");
    assert_eq!(size(1536), "1.5 KiB");
    assert_eq!([size_change(0), size_change(1536), size_change(-2)], ["0 B", "+1.5 KiB", "-2 B"]);
    let time = "2026-05-14T18:20:00.123Z".parse().unwrap();
    assert_eq!(moment(Some(time)), "2026-05-14T18:20:00Z");
    assert_eq!(moment(None), "-");
    assert_eq!(text(Some("a\u{1b}[31m\u{202e}b")), "a\\u{1b}[31m\\u{202e}b");
}

#[test]
fn headers_alone_are_columns_of_texts() {
    let mut table = Table::new(&["KEY", "VALUE"]);
    table.add(["a".to_owned(), "a value that is long".to_owned()]);
    assert_eq!(table.fitted(None), "KEY  VALUE\na    a value that is long");
    assert_eq!(table.fitted(Some(20)), "KEY  VALUE\na    a value that i…");
}
