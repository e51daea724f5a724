use super::*;

fn window(offset: usize, limit: Option<usize>) -> Window {
    Window { offset, limit }
}

#[test]
fn a_part_is_what_sri_programs_tell() {
    let of = |window: Window| {
        let part = window.of(0..250);
        assert_eq!((part.offset, part.total), (window.offset, 250));
        (part.limit, part.items)
    };
    let cases = [
        (window(0, None), 25, 0..25),
        (window(10, Some(3)), 3, 10..13),
        (window(0, Some(0)), 0, 0..0),
        (window(0, Some(1000)), 100, 0..100),
        (window(240, Some(100)), 100, 240..250),
        (window(250, None), 25, 0..0),
        (window(usize::MAX, Some(usize::MAX)), 100, 0..0),
    ];
    for (window, limit, items) in cases {
        assert_eq!(of(window), (limit, items.collect()), "{window:?}");
    }
}
