"""Deploy: LiteRT files, copies in tf_keras, copies with folded normalizations."""
