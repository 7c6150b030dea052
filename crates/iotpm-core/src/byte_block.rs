//! Many numbers as one block of little-endian bytes: `#[serde(with = "byte_block")]`.
//!
//! A format that writes each number for itself takes many times as long, and snapshots must not.

use serde::{Deserializer, Serializer, de::Error as _};

pub(crate) fn serialize<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
    let mut bytes = Vec::with_capacity(size_of_val(values));
    values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
    serde_bytes::serialize(&bytes, serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    let bytes: Vec<u8> = serde_bytes::deserialize(deserializer)?;
    let (values, rest) = bytes.as_chunks();
    if rest.is_empty() {
        Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
    } else {
        Err(D::Error::custom("a block of numbers: its last one is cut off"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Block(#[serde(with = "super")] Vec<f32>);

    proptest! {
        #[test]
        fn what_was_written_is_read_to_the_bit(values in prop::collection::vec(any::<f32>(), 0..50)) {
            let bytes = postcard::to_stdvec(&Block(values.clone())).expect("it is written");
            let Block(read) = postcard::from_bytes(&bytes).expect("and read");
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&read), bits(&values));
        }
    }

    #[test]
    fn a_number_that_is_cut_off_is_refused() {
        let bytes = postcard::to_stdvec(&serde_bytes::Bytes::new(&[0; 7])).expect("bytes");
        assert!(postcard::from_bytes::<Block>(&bytes).is_err());
    }
}
