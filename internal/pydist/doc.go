// Package pydist reads the small languages of Python packaging: names, versions, requirements,
// wheel file names, platform tags and the text files of a .dist-info directory. It is pure:
// functions over strings, bytes, io.Reader and an open function; nothing here touches a disk, a
// network or a clock.
//
// The rules and where they stand:
//
//   - Name: PEP 503. Letters, digits, '-', '_' and '.', beginning and ending with a letter or digit;
//     compared in lower case with every run of '-', '_' and '.' made one '-'.
//   - Version and Specifier: PEP 440. A version keeps its text and compares by meaning, so "1.0" and
//     "1.0.0" are different values whose Compare is 0. A specifier looks at the version only: whether
//     a pre-release may be chosen is the resolver's decision, already taken when we compare.
//   - Requirement and its marker: PEP 508. A marker is checked for grammar and kept as text; uv evaluates it.
//   - WheelName: PEP 427 and "Binary distribution format"; compressed tag sets as in PEP 425.
//   - Target: PEP 425, 384 (abi3) and 600 (manylinux_X_Y; 1, 2010 and 2014 are 2_5, 2_12 and 2_17). The
//     C library is the runtime's: glibc 2.26 on Amazon Linux 2, 2.34 on Amazon Linux 2023. A plain linux_*
//     tag promises no C library and is refused; so is musllinux.
//   - Requirements: pip's "Requirements File Format", less everything that makes the result depend on more
//     than the files: editable installs, version control, source archives, index options, variables.
//   - Metadata: "Core metadata specifications" (PEP 566, 643, 639), the header only.
//   - RecordEntry: "Recording installed projects" (PEP 376, 627): CSV of path, sha256 as unpadded
//     URL-safe base64, size.
//   - EntryPoint: "Entry points specification", read the way importlib.metadata reads it.
//
// Leaf values (Name, Version, Specifier, WheelName, Target) are comparable, have one parser, and
// decode through it. Faults of a file are a *PositionError that knows the line; only the first is
// reported.
package pydist
