package engine

// Version is that of the program: its command line and the functions of a deployed stack are of one
// version.
const Version = "0.1.0"

// Tool is how documents call the program that made them.
const Tool = "layersmith " + Version
