//! Format of our small files: a magic number with the version, a checksum, and a postcard payload.
//!
//! A file whose magic number, checksum or payload does not match is not read at all.

use serde::Serialize;
use serde::de::DeserializeOwned;

const CHECKSUM_BYTES: usize = 16;

/// Encodes a value as a sealed file.
pub fn seal<T: Serialize>(magic: [u8; 8], value: &T) -> Result<Vec<u8>, postcard::Error> {
    Ok(seal_payload(magic, &postcard::to_stdvec(value)?))
}

/// Returns a sealed file with this payload.
pub fn seal_payload(magic: [u8; 8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(magic.len() + CHECKSUM_BYTES + payload.len());
    bytes.extend(magic);
    bytes.extend(checksum(payload));
    bytes.extend(payload);
    bytes
}

/// Decodes a sealed file; `None` if it is damaged or of another kind or version.
pub fn unseal<T: DeserializeOwned>(magic: [u8; 8], bytes: &[u8]) -> Option<T> {
    let rest = bytes.strip_prefix(&magic)?;
    let (sum, payload) = rest.split_at_checked(CHECKSUM_BYTES)?;
    if sum != checksum(payload) {
        return None;
    }
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

fn checksum(payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = blake3::hash(payload);
    std::array::from_fn(|i| hash.as_bytes()[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: [u8; 8] = *b"LSTEST\0\x01";

    #[test]
    fn every_changed_byte_is_detected() {
        let value = (7u32, "seven".to_owned(), vec![1u8, 2, 3]);
        let sealed = seal(MAGIC, &value).unwrap();
        assert_eq!(unseal(MAGIC, &sealed), Some(value));
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 0x10;
            assert_eq!(unseal::<(u32, String, Vec<u8>)>(MAGIC, &flipped), None, "byte {at}");
            assert_eq!(unseal::<(u32, String, Vec<u8>)>(MAGIC, &sealed[..at]), None, "{at} bytes");
        }
        assert_eq!(unseal::<(u32, String, Vec<u8>)>(MAGIC, &[sealed, vec![0]].concat()), None);
    }
}
