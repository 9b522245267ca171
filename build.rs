//! Generates the messages and services of `proto/`, without needing `protoc`.

use std::{env, error::Error, fs, path::Path};

use prost::Message as _;
use protox::prost_reflect::prost_types::{DescriptorProto, FileDescriptorSet};

const ROOTS: [&str; 3] = [
    "observer/observer.proto",
    "peer/peer.proto",
    "grpc/health/v1/health.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=proto");

    let mut files = protox::compile(ROOTS, ["proto"])?;
    let out_dir = env::var_os("OUT_DIR").ok_or("cargo did not set OUT_DIR")?;
    write_descriptors(&files, &Path::new(&out_dir).join("descriptors.bin"))?;

    forget_deprecation(&mut files);
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .compile_fds(files)?;
    Ok(())
}

/// Writes what reflection needs at run time, which is all but the comments.
fn write_descriptors(files: &FileDescriptorSet, path: &Path) -> Result<(), Box<dyn Error>> {
    let mut files = files.clone();
    for file in &mut files.file {
        file.source_code_info = None;
    }
    fs::write(path, files.encode_to_vec())?;
    Ok(())
}

/// Clears the mark in what Rust is generated from.
///
/// Servers still send what is deprecated, so a reader naming it is not at fault.
fn forget_deprecation(files: &mut FileDescriptorSet) {
    for file in &mut files.file {
        for message in &mut file.message_type {
            forget_in_message(message);
        }
        for value in file.enum_type.iter_mut().flat_map(|kind| &mut kind.value) {
            if let Some(options) = &mut value.options {
                options.deprecated = None;
            }
        }
    }
}

fn forget_in_message(message: &mut DescriptorProto) {
    if let Some(options) = &mut message.options {
        options.deprecated = None;
    }
    for field in &mut message.field {
        if let Some(options) = &mut field.options {
            options.deprecated = None;
        }
    }
    for nested in &mut message.nested_type {
        forget_in_message(nested);
    }
}
