//! Everything that the fuzzers found worth keeping, once more through the same functions.

#[path = "../../director/core/fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

#[test]
fn the_corpus_of_every_fuzzer_is_taken() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../director/core/fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let folder = corpus.join(name);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut count = 0;
        for file in files {
            let path = file.unwrap().path();
            let data = fs::read(&path).unwrap();
            // The test's output names the one that was being read when it fails.
            println!("{}", path.display());
            target(&data);
            count += 1;
        }
        assert!(count > 0, "{name} has seeds");
    }
}

#[test]
fn every_target_takes_anything() {
    for (_, target) in targets::TARGETS {
        target(&[]);
        target(&[0; 64]);
        target(&[0xff; 64]);
        target(b"GET / HTTP/1.1\r\n\r\n");
    }
}
