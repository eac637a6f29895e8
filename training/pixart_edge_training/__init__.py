"""Trains, distils, measures and exports the sticker model that pixart-edge ships."""
