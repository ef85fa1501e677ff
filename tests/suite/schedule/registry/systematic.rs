//! An index is pushed, its children by digest and itself by a tag, beside a collector that retires what is untagged, and
//! either of them fails or dies at each of its calls.

