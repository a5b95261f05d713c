package pydist

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	schemePattern  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)
	vcsPattern     = regexp.MustCompile(`(?i)^(?:git|hg|svn|bzr)(?:\+|://)`)
	namedPattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*[ \t]*(?:\[[^\]]*\])?[ \t]*@`)
	archivePattern = regexp.MustCompile(`(?i)\.(?:whl|zip|tar|tgz|tar\.[a-z0-9]+)(?:[?#\[;]|$)`)
	extrasPattern  = regexp.MustCompile(`^(.+?)\[([^\]]*)\]$`)
)

const (
	hintEditable = "build a wheel (uv build --wheel) and name the .whl file"
	hintVCS      = "build a wheel from the commit and name the .whl file, or name a published version"
	hintSlashes  = "write a path with /, relative to this file, such as ./wheels/example-1.0-py3-none-any.whl"
	hintRelative = "write a relative path such as ./wheels/example-1.0-py3-none-any.whl"
)

// isBareRef reports whether a line is the path or URL of a wheel without a name in front of it.
func isBareRef(text string) bool {
	word := firstWord(text)
	head, _, _ := strings.Cut(word, ";") // a '/' in a marker does not count

	return !namedPattern.MatchString(text) &&
		(strings.Contains(head, "/") || strings.HasPrefix(head, ".") || schemePattern.MatchString(head) ||
			archivePattern.MatchString(head))
}

// firstWord returns the text up to the first space or tab.
func firstWord(text string) string {
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		return text[:i]
	}

	return text
}

// namedRequirement parses a PEP 508 requirement.
func namedRequirement(at position, in include, text string) (Requirement, error) {
	r, err := ParseRequirement(text)
	if err != nil {
		return r, at.wrap(err)
	}

	if in.constraint && len(r.Extras) > 0 {
		return r, at.fault("remove the extras here; write them where the package is required",
			"constraint %q: constraints cannot have extras", text)
	}

	if r.URL == "" {
		return r, nil
	}

	wheel, hash, err := parseWheelRef(at, r.URL)
	if err != nil {
		return r, err
	}

	if wheel.Distribution() != r.Name {
		return r, at.fault("", "requirement %q: the wheel is for %q", text, wheel.Distribution())
	}

	r.addHash(hash)
	return r, nil
}

// bareRequirement parses the path or URL of a wheel, maybe with extras and a marker, which pip
// accepts in addition to PEP 508.
func bareRequirement(at position, in include, text string) (r Requirement, err error) {
	ref, marker := cutBareRef(text)

	if m := extrasPattern.FindStringSubmatch(ref); m != nil {
		if r.Extras, err = parseExtras(m[2]); err != nil {
			return r, at.wrap(fmt.Errorf("requirement %q: %w", text, err))
		}

		ref = m[1]
	}

	wheel, hash, err := parseWheelRef(at, ref)
	if err != nil {
		return r, err
	}

	if in.constraint {
		return r, at.fault(fmt.Sprintf("write %s @ in front of it", wheel.Distribution()),
			"constraint %q: a constraint must name its package", text)
	}

	r.Name = wheel.Distribution()
	r.URL = ref
	r.addHash(hash)

	if marker == "" {
		return r, nil
	}

	marker, ok := strings.CutPrefix(marker, ";")
	if !ok {
		return r, at.fault("", "requirement %q: unexpected %q; a marker begins with ' ;'", text, marker)
	}

	r.Marker = trimBlank(marker)
	if err := checkMarker(r.Marker); err != nil {
		return r, at.wrap(fmt.Errorf("requirement %q: %w", text, err))
	}

	return r, nil
}

// cutBareRef splits a line into the reference and what follows it, which begins with ';' if it is a
// marker. In a URL, a ';' belongs to the URL unless blank space follows; in a path, it always
// begins the marker.
func cutBareRef(text string) (ref, marker string) {
	ref = firstWord(text)
	marker = trimBlank(text[len(ref):])

	if schemePattern.MatchString(ref) {
		if trimmed, ok := strings.CutSuffix(ref, ";"); ok && marker != "" {
			return trimmed, ";" + marker
		}

		return ref, marker
	}

	if before, after, ok := strings.Cut(ref, ";"); ok {
		return before, ";" + after + " " + marker
	}

	return ref, marker
}

// parseWheelRef checks that a URL or path names a wheel that can be fetched again, and returns the
// hash in its fragment, "" without one. Messages do not quote URLs, which may contain a password.
func parseWheelRef(at position, ref string) (wheel WheelName, hash string, err error) {
	if vcsPattern.MatchString(ref) {
		return wheel, "", at.fault(hintVCS, "version control: a checkout has no hash and is rebuilt each time")
	}

	target, fragment, hasFragment := strings.Cut(ref, "#")

	file, err := refPath(at, target)
	if err != nil {
		return wheel, "", err
	}

	base := file[strings.LastIndexByte(file, '/')+1:]
	isWheel := strings.HasSuffix(base, ".whl")

	if !isWheel && archivePattern.MatchString(base) {
		return wheel, "", at.fault(hintEditable,
			"source archive %q: building it runs its code, and the wheel has no known hash", base)
	}

	if !isWheel {
		return wheel, "", at.fault(hintEditable, "path or url ending in %q: not a wheel", base)
	}

	if wheel, err = ParseWheelName(base); err != nil {
		return wheel, "", at.wrap(err)
	}

	if !hasFragment {
		return wheel, "", nil
	}

	digest, ok := strings.CutPrefix(fragment, "sha256=")
	if !ok {
		return wheel, "", at.fault("write #sha256=<hex> or remove it",
			"url fragment %q: unknown; known: sha256", fragment)
	}

	if hash, err = parseHash("sha256:" + digest); err != nil {
		return wheel, "", at.wrap(err)
	}

	return wheel, hash, nil
}

// refPath returns the path of a URL, unescaped, or the path itself if it is relative.
func refPath(at position, target string) (string, error) {
	if scheme := schemePattern.FindString(target); scheme != "" {
		return urlPath(at, scheme, target[len(scheme):])
	}

	if path.IsAbs(target) || strings.HasPrefix(target, "~") {
		return "", at.fault(hintRelative, "path %q: an absolute path works on one machine only", target)
	}

	return target, nil
}

// urlPath returns the unescaped path of a URL, which is given as "https:" and the text after it.
func urlPath(at position, scheme, rest string) (string, error) {
	switch asciiLower(scheme) {
	case "https:":
	case "http:":
		return "", at.fault("use https", "url: http does not protect the download from changes")
	case "file:":
		return "", at.fault(hintRelative, "url: a file: URL works on one machine only")
	default:
		if len(scheme) == len("C:") {
			return "", at.fault(hintSlashes, "path of Windows: an absolute path works on one machine only")
		}

		return "", at.fault("use https or a relative path",
			"url: unknown scheme %q; known: https", strings.TrimSuffix(scheme, ":"))
	}

	rest, ok := strings.CutPrefix(rest, "//")
	host, file, _ := strings.Cut(rest, "/")
	if !ok || host == "" {
		return "", at.fault("", "url: host is missing")
	}

	if strings.Contains(host, "@") {
		return "", at.fault("remove the credentials; uv reads them from netrc or its configuration",
			"url: a committed file must not contain credentials")
	}

	file, _, _ = strings.Cut("/"+file, "?")
	if file, ok = unescape(file); !ok {
		return "", at.fault("", "url: malformed %%-escape")
	}

	return file, nil
}

// unescape decodes %XX, which a file name contains for the '+' of a local version.
func unescape(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}

		if i+2 >= len(s) {
			return "", false
		}

		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}

		b.WriteByte(byte(n))
		i += 2
	}

	return b.String(), true
}

// hashBytes are the lengths of the hashes that pip and uv accept.
var hashBytes = map[string]int{"sha256": sha256.Size, "sha384": sha512.Size384, "sha512": sha512.Size}

// parseHash parses "algorithm:hex" and returns it with lower-case digits.
func parseHash(s string) (string, error) {
	algorithm, digest, _ := strings.Cut(s, ":")
	size, ok := hashBytes[algorithm]
	if !ok {
		return "", fmt.Errorf("hash %q: unknown algorithm; known: sha256, sha384, sha512", s)
	}

	sum, err := hex.DecodeString(digest)
	if err != nil || len(sum) != size {
		return "", fmt.Errorf("hash %q: %s has %d hexadecimal digits", s, algorithm, 2*size)
	}

	return algorithm + ":" + hex.EncodeToString(sum), nil
}

// addHash adds a hash once; "" adds nothing.
func (r *Requirement) addHash(hash string) {
	if hash != "" && !slices.Contains(r.Hashes, hash) {
		r.Hashes = append(r.Hashes, hash)
	}
}
