//! Data plane of iotpm: JetStream, codec, shards, chunks.
