//! The status codes that this server sends.

/// A status code with its reason phrase (RFC 9110 15).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Status {
    /// Three digits.
    pub(crate) code: u16,
    /// The reason phrase.
    pub(crate) reason: &'static str,
}

impl Status {
    pub(crate) const OK: Self = Self::new(200, "OK");
    pub(crate) const PARTIAL_CONTENT: Self = Self::new(206, "Partial Content");
    pub(crate) const MOVED_PERMANENTLY: Self = Self::new(301, "Moved Permanently");
    pub(crate) const NOT_MODIFIED: Self = Self::new(304, "Not Modified");
    pub(crate) const BAD_REQUEST: Self = Self::new(400, "Bad Request");
    pub(crate) const FORBIDDEN: Self = Self::new(403, "Forbidden");
    pub(crate) const NOT_FOUND: Self = Self::new(404, "Not Found");
    pub(crate) const METHOD_NOT_ALLOWED: Self = Self::new(405, "Method Not Allowed");
    pub(crate) const REQUEST_TIMEOUT: Self = Self::new(408, "Request Timeout");
    pub(crate) const PRECONDITION_FAILED: Self = Self::new(412, "Precondition Failed");
    pub(crate) const CONTENT_TOO_LARGE: Self = Self::new(413, "Content Too Large");
    pub(crate) const URI_TOO_LONG: Self = Self::new(414, "URI Too Long");
    pub(crate) const RANGE_NOT_SATISFIABLE: Self = Self::new(416, "Range Not Satisfiable");
    pub(crate) const EXPECTATION_FAILED: Self = Self::new(417, "Expectation Failed");
    /// RFC 6585 5.
    pub(crate) const FIELDS_TOO_LARGE: Self = Self::new(431, "Request Header Fields Too Large");
    pub(crate) const INTERNAL_ERROR: Self = Self::new(500, "Internal Server Error");
    pub(crate) const NOT_IMPLEMENTED: Self = Self::new(501, "Not Implemented");
    pub(crate) const UNAVAILABLE: Self = Self::new(503, "Service Unavailable");
    pub(crate) const VERSION_NOT_SUPPORTED: Self = Self::new(505, "HTTP Version Not Supported");

    const fn new(code: u16, reason: &'static str) -> Self {
        Self { code, reason }
    }
}
