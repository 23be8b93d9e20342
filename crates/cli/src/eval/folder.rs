//! A folder with one folder of images for each class (torchvision's ImageFolder), matched with the model's classes.

use std::path::{Path, PathBuf};

use tcvit::{Error, Result, VitConfig};

const EXTENSIONS: &[&str] = &["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"];

/// One image to classify.
pub struct Item {
    /// Its path.
    pub path: PathBuf,
    /// `class/file`, for reports.
    pub name: String,
    /// Index of its class among the model's classes.
    pub class: usize,
}

/// The images of an evaluation.
pub struct Folder {
    pub items: Vec<Item>,
    pub total: usize,
    pub classes: usize,
    /// Whether folders were matched with the model's labels by name rather than by order.
    pub by_name: bool,
}

impl Folder {
    /// Lists `root` and takes `limit` of its images, spread evenly over the sorted list and therefore over the classes.
    pub fn open(root: &Path, config: &VitConfig, limit: Option<usize>) -> Result<Self> {
        let classes = subfolders(root)?;
        let names: Vec<&str> = classes.iter().map(|(name, _)| name.as_str()).collect();
        let (indices, by_name) = match_classes(&names, config)?;
        let mut all = Vec::new();
        for ((name, folder), class) in classes.iter().zip(indices) {
            for path in images(folder)? {
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                all.push(Item { name: format!("{name}/{file}"), class, path });
            }
        }
        if all.is_empty() {
            let got = format!("{} class folders without images in {}", classes.len(), root.display());
            return Err(refused("JPEG, PNG, WebP, BMP, GIF or TIFF images in class folders", got));
        }
        let total = all.len();
        let take = limit.unwrap_or(total).min(total);
        if take == 0 {
            return Err(Error::config("limit", "at least 1 image", "0"));
        }
        let mut index = 0;
        let mut next = 0;
        all.retain(|_| {
            let chosen = next < take && index == next * total / take;
            next += usize::from(chosen);
            index += 1;
            chosen
        });
        Ok(Self { items: all, total, classes: classes.len(), by_name })
    }
}

fn refused(expected: &str, got: String) -> Error {
    Error::file("read image folder", expected, got)
}

/// The entries of a folder, sorted by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let expected = || format!("a readable folder of class folders at {}", folder.display());
    let read = std::fs::read_dir(folder).map_err(|error| refused(&expected(), error.to_string()))?;
    let mut paths = Vec::new();
    for entry in read {
        paths.push(entry.map_err(|error| refused(&expected(), error.to_string()))?.path());
    }
    paths.sort();
    Ok(paths)
}

/// The class folders, sorted by name. Hidden folders are ignored.
fn subfolders(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let named = |path: PathBuf| Some((path.file_name()?.to_string_lossy().into_owned(), path));
    let folders = entries(root)?.into_iter().filter(|path| path.is_dir()).filter_map(named);
    let classes: Vec<_> = folders.filter(|(name, _)| !name.starts_with('.')).collect();
    match classes.is_empty() {
        true => Err(refused("a folder with one folder for each class", format!("{} without folders", root.display()))),
        false => Ok(classes),
    }
}

fn images(folder: &Path) -> Result<Vec<PathBuf>> {
    let known = |path: &PathBuf| {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        path.is_file() && extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
    };
    Ok(entries(folder)?.into_iter().filter(known).collect())
}

/// The model's class of each folder. Folders match labels if every folder's name is a label. Otherwise they match by
/// order if there are as many folders as classes.
fn match_classes(names: &[&str], config: &VitConfig) -> Result<(Vec<usize>, bool)> {
    let label = |name: &&str| config.labels.iter().position(|label| label.eq_ignore_ascii_case(name));
    if let Some(indices) = names.iter().map(label).collect::<Option<Vec<usize>>>() {
        return Ok((indices, true));
    }
    if names.len() == config.classes {
        return Ok(((0..names.len()).collect(), false));
    }
    let unknown = names.iter().find(|name| label(name).is_none()).copied().unwrap_or_default();
    Err(refused(
        &format!("a folder for each of the model's {} classes, or folders named as its labels", config.classes),
        format!("{} folders, among them {unknown}, which is not a label", names.len()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(classes: usize, labels: &[&str]) -> VitConfig {
        let mut config = VitConfig::new(32, 8, 64, 1, 1, classes);
        config.labels = labels.iter().map(|&label| label.to_owned()).collect();
        config
    }

    #[test]
    fn folders_are_matched_by_name_or_else_by_order() {
        let named = config(3, &["dog", "Cat", "bird"]);
        assert_eq!(match_classes(&["bird", "cat"], &named).unwrap(), (vec![2, 1], true));
        assert_eq!(match_classes(&["n01", "n02", "n03"], &named).unwrap(), (vec![0, 1, 2], false));
        let error = match_classes(&["cat", "fish"], &named).unwrap_err().to_string();
        assert!(error.contains("fish") && error.contains("3 classes"), "{error}");
        assert_eq!(match_classes(&["a", "b"], &config(2, &[])).unwrap(), (vec![0, 1], false));
    }

    #[test]
    fn a_limit_takes_evenly_from_every_class() {
        let root = tempfile::tempdir().unwrap();
        for class in ["a", "b", ".hidden"] {
            std::fs::create_dir(root.path().join(class)).unwrap();
            for file in ["3.png", "1.JPG", "2.jpeg", "notes.txt", "4.png"] {
                std::fs::write(root.path().join(class).join(file), b"").unwrap();
            }
        }
        let open = |limit| Folder::open(root.path(), &config(2, &[]), limit).unwrap();
        let names = |folder: &Folder| folder.items.iter().map(|item| item.name.clone()).collect::<Vec<_>>();
        assert_eq!((open(None).items.len(), open(None).total, open(None).classes), (8, 8, 2));
        assert_eq!(names(&open(Some(4))), ["a/1.JPG", "a/3.png", "b/1.JPG", "b/3.png"]);
        assert_eq!(open(Some(99)).items.len(), 8);
        assert_eq!(open(Some(3)).items.iter().map(|item| item.class).collect::<Vec<_>>(), [0, 0, 1]);
        assert!(Folder::open(root.path(), &config(2, &[]), Some(0)).is_err());
    }
}
