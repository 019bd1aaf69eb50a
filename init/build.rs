//! Links anew when the layout of the product's binary is another one, which cargo does not know of.

fn main() {
    println!("cargo::rerun-if-changed=../image/layout.ld");
}
