//! Every operation once, as `noun_verb`; knows no HTTP. The control socket, pages and tests call this and nothing below.
