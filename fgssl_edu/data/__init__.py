"""Where images come from: rendered birds, folders of photographs, downloads, and the batches made of them."""
