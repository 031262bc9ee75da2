//! From a file in the plugins folder to a verdict: what each kind of file gets, and what happens as files come and go.

mod damage;
pub(crate) mod elf;
mod folder;
mod generations;
mod inspection;
mod scene;
mod trust;
