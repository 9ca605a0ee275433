"""Where records come from: claims, object stores, HTTP and Kafka; JSONL, CSV and Parquet, packed or not."""
