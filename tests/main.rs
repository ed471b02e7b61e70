//! Black-box tests through the executable.
