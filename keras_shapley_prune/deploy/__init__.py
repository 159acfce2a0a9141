"""Deploy: LiteRT files and copies in tf_keras."""
