package release

import (
	"errors"
	"fmt"
	"strings"
)

// Back returns the earlier version with a number; for 0 the one before the current.
func (l ReleasedLayer) Back(to int64) (ReleasedVersion, error) {
	if to == l.Current.Version {
		return ReleasedVersion{}, fmt.Errorf("version %d is the current one", to)
	}

	for _, v := range l.Earlier {
		if to == 0 || v.Version == to {
			return v, nil
		}
	}

	if to == 0 {
		return ReleasedVersion{}, errors.New("there is no earlier version")
	}

	return ReleasedVersion{}, fmt.Errorf("version %d was not released, or is not kept any more", to)
}

// Versions lists the numbers of the earlier versions, or "none".
func (l ReleasedLayer) Versions() string {
	if len(l.Earlier) == 0 {
		return "none"
	}

	var s []string
	for _, v := range l.Earlier {
		s = append(s, fmt.Sprint(v.Version))
	}

	return strings.Join(s, ", ")
}

// With returns the layer with a new current version. The old current version becomes the newest of
// the earlier ones. If both have the same ARN, only the current version is replaced.
func (l ReleasedLayer) With(v ReleasedVersion) ReleasedLayer {
	if l.Current.ARN == v.ARN {
		l.Current = v
		return l
	}

	var earlier []ReleasedVersion
	if l.Current.ARN != "" {
		earlier = append(earlier, l.Current)
	}

	for _, e := range l.Earlier {
		if e.ARN != v.ARN {
			earlier = append(earlier, e)
		}
	}

	l.Current = v
	l.Earlier = earlier
	return l
}
