"""Articles to pairs of image and text: JATS, archives, filters, shards, and a stream that resumes."""
