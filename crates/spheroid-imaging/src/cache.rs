use std::{
    collections::HashSet,
    fs::File,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::UNIX_EPOCH,
};

use memmap2::Mmap;
use ndarray::ArrayView3;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use spheroid_core::{CoreError, atomic};

use crate::{
    FocalStack, ImagingError, Limits, PixelSize, Sample, SampleType, read_stack,
    sample::{with_sample_type, with_samples},
};

/// Stacks that were decoded once, as files that are mapped into memory instead of decoded again.
///
/// An entry belongs to the paths, lengths and times of change of the files of a stack: a file that
/// was changed is decoded anew, and its old entry never used. Entries are written beside and renamed,
/// and never changed afterwards, so any number of threads and processes may share a folder. An entry
/// that is damaged, or of another version of this format, is replaced, and
/// [counted](Self::statistics). Nothing is ever deleted: remove the folder when it is no longer wanted.
///
/// # What is checked
/// Size and header of an entry on every read, and the samples against their checksum the first time
/// that this cache maps the entry. Who cuts a file of the folder short while it is mapped ends the
/// program, as with any mapped file.
///
/// # Example
/// ```
/// use ndarray::Array3;
/// use spheroid_imaging::{FocalStack, Limits, Samples, StackCache, write_stack};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("B02_d7.tif");
/// let stack = FocalStack::new(Samples::U16(Array3::from_elem((3, 20, 30), 0xAFFA)))?;
/// write_stack(&path, &stack)?;
///
/// let cache = StackCache::open(folder.path().join("cache"))?;
/// for _epoch in 0..3 {
///     let cached = cache.read(std::slice::from_ref(&path), &Limits::default())?;
///     assert_eq!(cached.view::<u16>().ok_or("16 bits")?[[2, 19, 29]], 0xAFFA);
/// }
/// assert_eq!((cache.statistics().misses, cache.statistics().hits), (1, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct StackCache {
    folder: PathBuf,
    /// Entries whose samples were found sound.
    checked: Mutex<HashSet<String>>,
    hits: AtomicU64,
    misses: AtomicU64,
    repaired: AtomicU64,
}

/// How often a cache had what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CacheStatistics {
    /// Reads that decoded nothing.
    pub hits: u64,
    /// Reads of stacks that were not there.
    pub misses: u64,
    /// Reads of entries that were damaged and were replaced.
    pub repaired: u64,
}

impl StackCache {
    /// Opens the cache in `folder`, which is created if need be.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, ImagingError> {
        let folder = folder.into();
        std::fs::create_dir_all(&folder).map_err(|source| CoreError::Io {
            path: folder.clone(),
            action: "create the folder",
            source,
        })?;
        Ok(Self {
            folder,
            checked: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            repaired: AtomicU64::new(0),
        })
    }

    /// The stack of `files`, from the cache or else decoded and put there.
    ///
    /// # Errors
    /// As [`read_stack`], and when an entry cannot be written or read. An entry that is larger than
    /// `limits` is refused as the files would be.
    pub fn read(&self, files: &[PathBuf], limits: &Limits) -> Result<CachedStack, ImagingError> {
        let key = key_of(files)?;
        let path = self.folder.join(format!("{key}.stack"));
        match CachedStack::map(&path) {
            Ok(Some(stack)) if self.is_sound(&key, &stack) => {
                stack.check_limits(files, limits)?;
                self.hits.fetch_add(1, Ordering::Relaxed);
                return Ok(stack);
            }
            Ok(_) => self.repaired.fetch_add(1, Ordering::Relaxed),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.misses.fetch_add(1, Ordering::Relaxed)
            }
            Err(source) => return Err(read_error(&path, source)),
        };
        write_entry(&path, &read_stack(files, limits)?)?;
        let stack = CachedStack::map(&path).map_err(|source| read_error(&path, source))?;
        let changed = || read_error(&path, ErrorKind::InvalidData.into());
        let stack = stack.ok_or_else(changed)?;
        if self.is_sound(&key, &stack) {
            Ok(stack)
        } else {
            Err(changed())
        }
    }

    /// What happened since the cache was opened here; other processes count for themselves.
    pub fn statistics(&self) -> CacheStatistics {
        CacheStatistics {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            repaired: self.repaired.load(Ordering::Relaxed),
        }
    }

    /// Holds the samples against their checksum, once for each entry.
    fn is_sound(&self, key: &str, stack: &CachedStack) -> bool {
        let checked = || self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if checked().contains(key) {
            return true;
        }
        let sound = crc32fast::hash(stack.samples()) == stack.header.checksum;
        if sound {
            checked().insert(key.to_owned());
        }
        sound
    }
}

/// A stack in the cache, mapped into memory and shared by all that read it.
#[derive(Debug, Clone)]
pub struct CachedStack {
    map: Arc<Mmap>,
    header: Header,
}

impl CachedStack {
    /// Number of planes, rows and columns.
    pub fn dim(&self) -> (usize, usize, usize) {
        self.header.dim
    }

    /// Type of the samples.
    pub fn sample_type(&self) -> SampleType {
        self.header.sample_type
    }

    /// Size of a pixel, where the files say it.
    pub fn pixel_size(&self) -> Option<PixelSize> {
        self.header.pixel_size
    }

    /// Whether small samples are bright; see [`FocalStack::white_is_zero`].
    pub fn white_is_zero(&self) -> bool {
        self.header.white_is_zero
    }

    /// The samples, without a copy; `None` when they are of another type.
    ///
    /// # Shapes
    /// `[plane, row, column]`.
    pub fn view<T: Sample>(&self) -> Option<ArrayView3<'_, T>> {
        if T::TYPE != self.header.sample_type {
            return None;
        }
        let samples = bytemuck::try_cast_slice(self.samples()).ok()?;
        ArrayView3::from_shape(self.header.dim, samples).ok()
    }

    /// A copy in memory of its own.
    pub fn to_stack(&self) -> FocalStack {
        let samples = with_sample_type!(self.header.sample_type, T => {
            let view = self.view::<T>().expect("the length was checked when the entry was mapped");
            T::wrap(view.to_owned())
        });
        FocalStack::new(samples)
            .expect("the header was checked to hold at least one pixel")
            .with_pixel_size(self.header.pixel_size)
            .with_white_is_zero(self.header.white_is_zero)
    }

    fn samples(&self) -> &[u8] {
        &self.map[HEADER_BYTES..]
    }

    /// Maps an entry; `None` when it is none of this version.
    fn map(path: &Path) -> std::io::Result<Option<Self>> {
        let file = File::open(path)?;
        if file.metadata()?.len() < HEADER_BYTES as u64 {
            return Ok(None);
        }
        #[expect(unsafe_code, reason = "mapping a file asks for it")]
        // SAFETY: entries are renamed into place when they are whole, and not written to again.
        let map = unsafe { Mmap::map(&file)? };
        let header = map.first_chunk().and_then(Header::decode);
        let fits = |header: &Header| header.bytes() == Some((map.len() - HEADER_BYTES) as u64);
        Ok(header.filter(fits).map(|header| Self {
            map: Arc::new(map),
            header,
        }))
    }

    fn check_limits(&self, files: &[PathBuf], limits: &Limits) -> Result<(), ImagingError> {
        let (planes, rows, columns) = self.header.dim;
        for (limit, needed, allowed) in [
            ("planes", planes as u64, limits.max_planes),
            (
                "pixels a plane",
                rows as u64 * columns as u64,
                limits.max_pixels_per_plane,
            ),
            ("bytes", self.samples().len() as u64, limits.max_bytes),
        ] {
            if needed > allowed {
                return Err(ImagingError::Limits {
                    path: files[0].clone(),
                    limit,
                    needed,
                    allowed,
                });
            }
        }
        Ok(())
    }
}

/// A multiple of the alignment of every sample, and of a cache line.
const HEADER_BYTES: usize = 128;
const MAGIC: [u8; 8] = *b"SPHCACHE";
const VERSION: u32 = 2;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Header {
    sample_type: SampleType,
    white_is_zero: bool,
    dim: (usize, usize, usize),
    pixel_size: Option<PixelSize>,
    /// CRC-32 of the samples.
    checksum: u32,
}

impl Header {
    /// The types in the order of their numbers in a header.
    const TYPES: [SampleType; 9] = [
        SampleType::U8,
        SampleType::I8,
        SampleType::U16,
        SampleType::I16,
        SampleType::U32,
        SampleType::I32,
        SampleType::F16,
        SampleType::F32,
        SampleType::F64,
    ];

    /// Bytes of the samples.
    fn bytes(&self) -> Option<u64> {
        let (planes, rows, columns) = self.dim;
        [planes, rows, columns, self.sample_type.bits() as usize / 8]
            .into_iter()
            .try_fold(1_u64, |product, n| product.checked_mul(n as u64))
            .filter(|&bytes| bytes > 0)
    }

    /// Numbers are in the order of this machine, as the samples are.
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let number = Self::TYPES
            .iter()
            .position(|&known| known == self.sample_type);
        let number = number.expect("all types have a number") as u32;
        let (planes, rows, columns) = self.dim;
        let (x, y) = self.pixel_size.map_or((0.0, 0.0), |size| (size.x, size.y));
        let mut bytes = [0; HEADER_BYTES];
        let mut at = 0;
        let mut put = |part: &[u8]| {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        };
        put(&MAGIC);
        put(&VERSION.to_ne_bytes());
        put(&number.to_ne_bytes());
        for length in [planes, rows, columns] {
            put(&(length as u64).to_ne_bytes());
        }
        for size in [x, y] {
            put(&size.to_ne_bytes());
        }
        put(&u32::from(self.white_is_zero).to_ne_bytes());
        put(&self.checksum.to_ne_bytes());
        let own = crc32fast::hash(&bytes[..HEADER_BYTES - 4]);
        bytes[HEADER_BYTES - 4..].copy_from_slice(&own.to_ne_bytes());
        bytes
    }

    /// `None` when the bytes are damaged, of another version or another byte order.
    fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let u32_at = |at: usize| Some(u32::from_ne_bytes(*bytes[at..].first_chunk()?));
        let u64_at = |at: usize| Some(u64::from_ne_bytes(*bytes[at..].first_chunk()?));
        let own = crc32fast::hash(&bytes[..HEADER_BYTES - 4]);
        if bytes[..8] != MAGIC || u32_at(8)? != VERSION || u32_at(HEADER_BYTES - 4)? != own {
            return None;
        }
        let length = |at| usize::try_from(u64_at(at)?).ok();
        let (x, y) = (f64::from_bits(u64_at(40)?), f64::from_bits(u64_at(48)?));
        Some(Self {
            sample_type: *Self::TYPES.get(u32_at(12)? as usize)?,
            dim: (length(16)?, length(24)?, length(32)?),
            pixel_size: PixelSize::new(x, y).ok(),
            white_is_zero: u32_at(56)? != 0,
            checksum: u32_at(60)?,
        })
    }
}

fn write_entry(path: &Path, stack: &FocalStack) -> Result<(), ImagingError> {
    let samples: &[u8] = with_samples!(stack.samples(), array => {
        bytemuck::cast_slice(array.as_slice().expect("a stack is in row-major order"))
    });
    let header = Header {
        sample_type: stack.sample_type(),
        white_is_zero: stack.white_is_zero(),
        dim: stack.dim(),
        pixel_size: stack.pixel_size(),
        checksum: crc32fast::hash(samples),
    };
    atomic::write_file(path, |out| {
        let written = out
            .write_all(&header.encode())
            .and_then(|()| out.write_all(samples));
        written.map_err(|source| {
            ImagingError::Core(CoreError::Io {
                path: path.to_owned(),
                action: "write",
                source,
            })
        })
    })
}

/// Digest of what the files are called, how long they are and when they were changed.
fn key_of(files: &[PathBuf]) -> Result<String, ImagingError> {
    let mut digest = Sha256::new();
    for path in files {
        let error = |source| ImagingError::Io {
            path: path.clone(),
            action: "open",
            source,
        };
        let whole = std::fs::canonicalize(path).map_err(error)?;
        let metadata = std::fs::metadata(&whole).map_err(error)?;
        let changed = metadata.modified().map_err(error)?;
        let since = changed.duration_since(UNIX_EPOCH).map_err(|_| {
            error(std::io::Error::new(
                ErrorKind::InvalidData,
                "it was changed before 1970",
            ))
        })?;
        let name = whole.as_os_str().as_encoded_bytes();
        digest.update((name.len() as u64).to_le_bytes());
        digest.update(name);
        digest.update(metadata.len().to_le_bytes());
        digest.update(since.as_nanos().to_le_bytes());
    }
    Ok(digest.finalize()[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn read_error(path: &Path, source: std::io::Error) -> ImagingError {
    ImagingError::Io {
        path: path.to_owned(),
        action: "read",
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Samples, f16, write_stack};
    use ndarray::Array3;
    use proptest::prelude::*;
    use std::time::{Duration, SystemTime};

    fn stacks() -> Vec<FocalStack> {
        let numbers = Array3::from_shape_fn((2, 5, 7), |(p, r, c)| (p * 100 + r * 10 + c) as u8);
        [
            Samples::U8(numbers.clone()),
            Samples::I8(numbers.mapv(|v| v as i8)),
            Samples::U16(numbers.mapv(|v| u16::from(v) * 257)),
            Samples::I16(numbers.mapv(|v| -i16::from(v))),
            Samples::U32(numbers.mapv(|v| u32::from(v) << 20)),
            Samples::I32(numbers.mapv(|v| -i32::from(v))),
            Samples::F16(numbers.mapv(|v| f16::from_f32(v.into()))),
            Samples::F32(numbers.mapv(|v| f32::from(v) / 3.0)),
            Samples::F64(numbers.mapv(|v| f64::from(v) / 3.0)),
        ]
        .map(|samples| FocalStack::new(samples).unwrap())
        .to_vec()
    }

    struct Scene {
        folder: tempfile::TempDir,
        files: Vec<PathBuf>,
    }

    impl Scene {
        fn new(stack: &FocalStack) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("stack.tif");
            write_stack(&file, stack).unwrap();
            Self {
                folder,
                files: vec![file],
            }
        }

        fn cache(&self) -> StackCache {
            StackCache::open(self.folder.path().join("cache")).unwrap()
        }

        fn read(&self, cache: &StackCache) -> CachedStack {
            cache.read(&self.files, &Limits::default()).unwrap()
        }

        fn entry(&self) -> PathBuf {
            let mut entries = std::fs::read_dir(self.folder.path().join("cache")).unwrap();
            let entry = entries.next().unwrap().unwrap().path();
            assert!(entries.next().is_none());
            entry
        }
    }

    fn counts(hits: u64, misses: u64, repaired: u64) -> CacheStatistics {
        CacheStatistics {
            hits,
            misses,
            repaired,
        }
    }

    #[test]
    fn every_type_is_kept_with_size_and_polarity() {
        for stack in stacks() {
            let size = PixelSize { x: 0.5, y: 0.25 };
            let stack = stack.with_pixel_size(Some(size)).with_white_is_zero(true);
            let scene = Scene::new(&stack);
            for hits in [0, 1] {
                let cache = scene.cache();
                let cached = scene.read(&cache);
                assert_eq!(cached.to_stack(), stack);
                assert_eq!(
                    (cached.dim(), cached.sample_type()),
                    (stack.dim(), stack.sample_type())
                );
                assert_eq!(
                    (cached.pixel_size(), cached.white_is_zero()),
                    (Some(size), true)
                );
                assert_eq!(cache.statistics(), counts(hits, 1 - hits, 0));
                let viewed = u16::of(stack.samples()).map(|array| array.view());
                assert_eq!(cached.view::<u16>(), viewed);
            }
        }
    }

    #[test]
    fn a_file_that_was_changed_is_decoded_anew() {
        let [_, _, first, ..] = &stacks()[..] else {
            panic!("nine stacks")
        };
        let scene = Scene::new(first);
        let cache = scene.cache();
        scene.read(&cache);
        let Samples::U16(samples) = first.samples() else {
            panic!("16 bits")
        };
        let second = FocalStack::new(Samples::U16(samples + 1)).unwrap();
        write_stack(&scene.files[0], &second).unwrap();
        let later = SystemTime::now() + Duration::from_secs(3);
        File::open(&scene.files[0])
            .unwrap()
            .set_modified(later)
            .unwrap();
        assert_eq!(scene.read(&cache).to_stack(), second);
        assert_eq!(cache.statistics(), counts(0, 2, 0));
    }

    #[test]
    fn entries_that_are_damaged_are_replaced_and_counted() {
        let stack = &stacks()[2];
        let scene = Scene::new(stack);
        scene.read(&scene.cache());
        let entry = scene.entry();
        let sound = std::fs::read(&entry).unwrap();
        let damages: [fn(&mut Vec<u8>); 6] = [
            Vec::clear,
            |bytes| bytes.truncate(HEADER_BYTES + 3),
            |bytes| bytes.truncate(50),
            |bytes| bytes.extend([0; 2]),
            |bytes| bytes[HEADER_BYTES + 9] ^= 1,
            // Another version, with a sound checksum.
            |bytes| {
                bytes[8] ^= 0xF0;
                let own = crc32fast::hash(&bytes[..HEADER_BYTES - 4]);
                bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&own.to_ne_bytes());
            },
        ];
        for damage in damages {
            let mut bytes = sound.clone();
            damage(&mut bytes);
            std::fs::write(&entry, bytes).unwrap();
            let cache = scene.cache();
            assert_eq!(scene.read(&cache).to_stack(), *stack);
            assert_eq!(cache.statistics(), counts(0, 0, 1));
            assert_eq!(std::fs::read(&entry).unwrap(), sound);
        }
    }

    #[test]
    fn limits_hold_for_entries_as_for_files() {
        let scene = Scene::new(&stacks()[2]);
        let cache = scene.cache();
        scene.read(&cache);
        for limits in [
            Limits {
                max_bytes: 139,
                ..Limits::default()
            },
            Limits {
                max_planes: 1,
                ..Limits::default()
            },
            Limits {
                max_pixels_per_plane: 34,
                ..Limits::default()
            },
        ] {
            let error = cache.read(&scene.files, &limits).unwrap_err();
            assert!(matches!(error, ImagingError::Limits { .. }), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_read_or_written_is_named() {
        let scene = Scene::new(&stacks()[2]);
        let below_a_file = scene.files[0].join("cache");
        let error = StackCache::open(&below_a_file).unwrap_err();
        assert!(error.to_string().contains("stack.tif"), "{error}");
        let missing = [scene.folder.path().join("missing.tif")];
        let error = scene
            .cache()
            .read(&missing, &Limits::default())
            .unwrap_err();
        assert!(error.to_string().contains("missing.tif"), "{error}");
        let cache = scene.cache();
        std::fs::write(&scene.files[0], b"no TIFF").unwrap();
        assert!(cache.read(&scene.files, &Limits::default()).is_err());
        let entries = std::fs::read_dir(scene.folder.path().join("cache")).unwrap();
        assert_eq!(entries.count(), 0);
    }

    #[test]
    fn threads_and_caches_share_a_folder() {
        let stack = &stacks()[2];
        let scene = Scene::new(stack);
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| {
                    let cache = scene.cache();
                    for _ in 0..20 {
                        assert_eq!(scene.read(&cache).to_stack(), *stack);
                    }
                    assert_eq!(cache.statistics().repaired, 0);
                });
            }
        });
        scene.entry();
    }

    proptest! {
        #[test]
        fn no_bytes_are_taken_for_an_entry(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("entry");
            std::fs::write(&path, bytes).unwrap();
            prop_assert!(CachedStack::map(&path).unwrap().is_none());
        }
    }
}
