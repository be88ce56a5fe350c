//! What must not compile: the promises of the types, each broken once.

#[test]
fn fences_cannot_be_forged() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
