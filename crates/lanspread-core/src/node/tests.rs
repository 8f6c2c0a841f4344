//! The node, driven input by input.
