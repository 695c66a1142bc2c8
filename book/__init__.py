"""How executed chapters become the published site."""
