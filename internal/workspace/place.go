package workspace

import "github.com/layersmith/layersmith/internal/place"

// Place is where the layer's files lie, in its zip and on Lambda.
func (l Layer) Place() place.Place { return place.Layer }
