// Package place is where Python files are in a zip and on Lambda.
//
// Lambda unpacks layers into /opt, one over the other, and a function's own package into /var/task
// (AWS Lambda Developer Guide, "Packaging your layer content" and "Working with .zip file archives
// for Python Lambda functions"). Python finds modules in /opt/python, in
// /opt/python/lib/pythonX.Y/site-packages and in /var/task.
package place

import "strings"

// Place is where the site folder is, the folder that Python imports from.
type Place struct {
	Prefix string // the site folder in the zip: "python/"; "" for the root
	Root   string // the site folder on Lambda, with a slash at the end: "/opt/python/"
}

// Mount points on Lambda.
const (
	LayerMount    = "/opt"
	FunctionMount = "/var/task"
)

// Layer is the place of layers that Layersmith builds.
var Layer = Place{Prefix: "python/", Root: LayerMount + "/python/"}

// Function is the place of a function's own package.
var Function = Place{Prefix: "", Root: FunctionMount + "/"}

// SitePackages is the other place in a layer that is on sys.path. runtime is "python3.13".
func SitePackages(runtime string) Place {
	prefix := "python/lib/" + runtime + "/site-packages/"
	return Place{Prefix: prefix, Root: LayerMount + "/" + prefix}
}

// Site returns the path of a zip entry relative to the site folder; false when it is outside.
func (p Place) Site(entry string) (site string, inside bool) {
	return strings.CutPrefix(entry, p.Prefix)
}
