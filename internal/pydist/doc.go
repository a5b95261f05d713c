// Package pydist reads the small formats of Python packaging: names, versions, requirements, wheel
// file names, platform tags and the text files of a .dist-info directory. It is pure: functions
// over strings, bytes, an io.Reader or an open function, without disk, network or clock.
//
// The rules and their sources:
//
//   - Name: PEP 503. Letters, digits, '-', '_' and '.', with a letter or digit at both ends.
//     Normalized: lower case, every run of '-', '_' and '.' becomes one '-'.
//   - Version and Specifier: PEP 440. A version keeps its text and compares by meaning: "1.0" and
//     "1.0.0" are different values whose Compare is 0. A specifier has no policy for pre-releases:
//     the resolver (uv) has already chosen the version.
//   - Requirement and its marker: PEP 508. A marker is checked for grammar and kept as text; uv
//     evaluates it.
//   - WheelName: PEP 427 and "Binary distribution format"; compressed tag sets as in PEP 425.
//   - Target: PEP 425, 384 (abi3) and 600 (manylinux_X_Y; manylinux1, 2010 and 2014 are 2_5, 2_12
//     and 2_17). The glibc is that of the runtime, see runtime.go. linux_* tags are refused,
//     because they promise no C library version, and musllinux is refused.
//   - Requirements: pip's "Requirements File Format" without everything that makes the result
//     depend on more than the files: editable installs, version control, source archives, index
//     options, variables.
//   - Metadata: "Core metadata specifications" (PEP 566, 643, 639), the header only.
//   - RecordEntry: "Recording installed projects" (PEP 376, 627): CSV of path, sha256 as unpadded
//     URL-safe base64, size.
//   - EntryPoint: "Entry points specification", parsed like importlib.metadata does.
//
// Name, Version, Specifier, WheelName and Target are comparable values. Each has one parser, and
// UnmarshalText uses it. A fault in a file is a *PositionError with the line; only the first fault
// is reported.
package pydist
