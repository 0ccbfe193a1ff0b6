//! What holds for whole reports.

mod page;
mod rejections;
mod svg_files;
