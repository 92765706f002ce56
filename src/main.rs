//! The `ringgate` program: parse the arguments, hand over to [`ringgate::cli`].

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ringgate::cli::main()
}
