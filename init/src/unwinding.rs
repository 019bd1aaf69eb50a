//! Nobody unwinds the product's stack: a panic says where it was and aborts (`image/layout.ld` leaves out what
//! describes the frames). The standard library is compiled for others too: its panic handler would print a backtrace,
//! with a reader of DWARF for it, and a twentieth of the binary would be for that. Where the names of the unwinder
//! (Itanium C++ ABI, Exception Handling 1.2) are found here, nothing of it is linked.
use std::ffi::{c_int, c_void};

/// `_URC_END_OF_STACK`.
const END_OF_STACK: c_int = 5;

/// Has no frame to tell.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_tell: *const c_void, _argument: *mut c_void) -> c_int {
    END_OF_STACK
}

/// What only an unwinder would call, or who has been called by one.
macro_rules! never_called {
    ($($name:ident)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name() -> ! {
            std::process::abort()
        }
    )*};
}

never_called! {
    _Unwind_GetDataRelBase
    _Unwind_GetIP
    _Unwind_GetIPInfo
    _Unwind_GetLanguageSpecificData
    _Unwind_GetRegionStart
    _Unwind_GetTextRelBase
    _Unwind_Resume
    _Unwind_SetGR
    _Unwind_SetIP
}
