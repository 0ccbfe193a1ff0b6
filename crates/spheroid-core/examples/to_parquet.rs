//! Turns a table of features into Parquet, with what was done to every well.
//!
//! `cargo run -p spheroid-core --features parquet --example to_parquet -- embeddings.csv plate_map.csv
//! embeddings.parquet`

use std::{env, error::Error, path::Path, process::ExitCode};

use spheroid_core::{Embeddings, PlateFormat, PlateMap};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [embeddings, map, out] = &arguments[..] else {
        eprintln!("usage: to_parquet EMBEDDINGS.csv PLATE_MAP.csv OUT.parquet");
        return ExitCode::FAILURE;
    };
    match convert(embeddings.as_ref(), map.as_ref(), out.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn convert(embeddings: &Path, map: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    // The largest format takes the wells of all others.
    let map = PlateMap::read(map, PlateFormat::W1536)?;
    Embeddings::read_csv(embeddings)?.write(out, Some(&map))?;
    println!("{}", out.display());
    Ok(())
}
