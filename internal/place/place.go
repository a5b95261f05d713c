// Package place says where a package of Python files lies, in its zip and on Lambda.
//
// Lambda unpacks layers into /opt, one over the other, and a function's own package into /var/task
// (AWS Lambda Developer Guide, "Packaging your layer content" and "Working with .zip file archives
// for Python Lambda functions"). Python finds modules in /opt/python, in
// /opt/python/lib/pythonX.Y/site-packages and in /var/task.
package place

import "strings"

// Place is where the site folder of a package lies: the folder that Python imports from.
type Place struct {
	Prefix string // of the site folder's entries in the zip: "python/"; "" for the zip's root
	Root   string // the site folder on Lambda, with a slash at its end: "/opt/python/"
}

// Mount points on Lambda.
const (
	LayerMount    = "/opt"
	FunctionMount = "/var/task"
)

// Layer is the place of what Layersmith builds for a layer.
var Layer = Place{Prefix: "python/", Root: LayerMount + "/python/"}

// Function is the place of a function's own package.
var Function = Place{Prefix: "", Root: FunctionMount + "/"}

// SitePackages is the second place that Lambda's Python reads in a layer. runtime is "python3.13".
func SitePackages(runtime string) Place {
	prefix := "python/lib/" + runtime + "/site-packages/"
	return Place{Prefix: prefix, Root: LayerMount + "/" + prefix}
}

// Site is the name of a zip entry relative to the site folder; false when the entry lies outside.
func (p Place) Site(entry string) (site string, inside bool) {
	return strings.CutPrefix(entry, p.Prefix)
}
