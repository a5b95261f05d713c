package engine

// Version is the version of the command line and of the functions of a deployed stack.
const Version = "0.1.0"

// Tool is the name of the program in the documents that it writes.
const Tool = "layersmith " + Version
