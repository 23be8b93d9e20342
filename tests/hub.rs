//! Models from a hub, which is a server in this process. One test, since it sets variables of the environment.
#![cfg(feature = "hub")]

mod support;

use std::sync::{Arc, Mutex};

use support::hub::{COMMIT, Hub, model};
use support::{gpu, stored_in};
use tcvit::hub::{HubOptions, fetch};
use tcvit::{Error, Model, Precision};

#[test]
fn a_model_is_fetched_with_progress_and_loaded_from_the_cache() {
    let home = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    // SAFETY: no other thread of this process reads or writes the environment now; the hub's server does neither.
    unsafe {
        for name in ["HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN", "HF_TOKEN_PATH"] {
            std::env::remove_var(name);
        }
        for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            std::env::remove_var(name);
        }
        std::env::set_var("HF_HOME", home.path());
        std::env::set_var("HF_ENDPOINT", hub.endpoint());
    }

    let heard = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&heard);
    let options = HubOptions::new().progress(move |file| {
        told.lock().unwrap().push((file.name.to_owned(), file.got, file.size, file.done));
    });
    let offline = fetch("tests/vit", &options.clone().offline(true)).unwrap_err().to_string();
    assert!(offline.contains("tests--vit") && offline.ends_with("got none"), "{offline}");
    assert_eq!((heard.lock().unwrap().len(), hub.requests().len()), (0, 0), "nothing is asked for offline");

    let folder = fetch("tests/vit", &options).unwrap();
    assert_eq!(folder, home.path().join(format!("hub/models--tests--vit/snapshots/{COMMIT}")));
    let heard = std::mem::take(&mut *heard.lock().unwrap());
    for name in ["config.json", "preprocessor_config.json", "model.safetensors"] {
        let size = std::fs::metadata(model("vit").join(name)).unwrap().len();
        let of_file: Vec<_> = heard.iter().filter(|(file, ..)| file == name).collect();
        assert!(of_file.iter().all(|(_, got, whole, _)| got <= whole && *whole == size), "{of_file:?}");
        assert!(of_file.is_sorted_by_key(|(_, got, ..)| *got), "{of_file:?}");
        assert_eq!(of_file.iter().filter(|(.., done)| *done).count(), 1, "{of_file:?}");
        assert_eq!(of_file.last().map(|(_, got, _, done)| (*got, *done)), Some((size, true)), "{of_file:?}");
    }

    drop(hub);
    let options = stored_in(Precision::F32);
    let loaded = Model::from_hub(gpu(), "tests/vit", &options).unwrap();
    let here = Model::load_with(gpu(), model("vit"), &options).unwrap();
    assert_eq!(loaded.config(), here.config());
    let error = Model::from_hub(gpu(), "tests/dinov2", &options).err().expect("the server is gone");
    assert!(matches!(&error, Error::File { .. }) && error.to_string().contains("needs no network"), "{error}");
}
