//! When which address is announced by gratuitous ARP.
