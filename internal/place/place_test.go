package place_test

import (
	"testing"

	"github.com/layersmith/layersmith/internal/place"
)

func TestPlaces(t *testing.T) {
	for name, c := range map[string]struct {
		p            place.Place
		entry, site  string
		inside       bool
		root, prefix string
	}{
		"a layer": {
			p: place.Layer, entry: "python/numpy/__init__.py", site: "numpy/__init__.py", inside: true,
			root: "/opt/python/", prefix: "python/",
		},
		"a layer's file beside the site folder": {
			p: place.Layer, entry: "bin/tool", site: "bin/tool", inside: false,
			root: "/opt/python/", prefix: "python/",
		},
		"a function": {
			p: place.Function, entry: "app.py", site: "app.py", inside: true, root: "/var/task/", prefix: "",
		},
		"site-packages of a layer": {
			p: place.SitePackages("python3.12"), entry: "python/lib/python3.12/site-packages/six.py", site: "six.py",
			inside: true, root: "/opt/python/lib/python3.12/site-packages/",
			prefix: "python/lib/python3.12/site-packages/",
		},
	} {
		t.Run(name, func(t *testing.T) {
			site, inside := c.p.Site(c.entry)
			if site != c.site || inside != c.inside {
				t.Errorf("Site(%q) = %q, %v; want %q, %v", c.entry, site, inside, c.site, c.inside)
			}

			if c.p.Root != c.root || c.p.Prefix != c.prefix {
				t.Errorf("got %+v, want root %q and prefix %q", c.p, c.root, c.prefix)
			}
		})
	}
}
