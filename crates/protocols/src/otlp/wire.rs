//! Protobuf on the wire: fields as slices of the body, and small messages written.
//!
//! Own code, because decoders of whole messages build a tree of them: an attribute of two bytes
//! would take a hundred.

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotProtobuf;

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    /// A text, bytes or a message.
    Bytes(&'a [u8]),
    Fixed32(u32),
}

impl<'a> Wire<'a> {
    pub(super) fn varint(self) -> Result<u64, NotProtobuf> {
        if let Self::Varint(value) = self { Ok(value) } else { Err(NotProtobuf) }
    }

    pub(super) fn fixed64(self) -> Result<u64, NotProtobuf> {
        if let Self::Fixed64(value) = self { Ok(value) } else { Err(NotProtobuf) }
    }

    pub(super) fn fixed32(self) -> Result<u32, NotProtobuf> {
        if let Self::Fixed32(value) = self { Ok(value) } else { Err(NotProtobuf) }
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], NotProtobuf> {
        if let Self::Bytes(value) = self { Ok(value) } else { Err(NotProtobuf) }
    }

    pub(super) fn text(self) -> Result<&'a str, NotProtobuf> {
        std::str::from_utf8(self.bytes()?).map_err(|_| NotProtobuf)
    }
}

/// A field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) wire: Wire<'a>,
}

/// The fields of a message, in its order. Ends after an error.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        // A group of seven bits each: the tenth has one bit of the 64.
        for index in 0..10 {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            if index == 9 && *byte > 1 {
                return None;
            }
            value |= u64::from(byte & 0x7f) << (index * 7);
            if *byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<Field<'a>> {
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || tag > u64::from(u32::MAX) {
            return None;
        }
        let wire = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            // Groups, which OTLP never had.
            _ => return None,
        };
        Some(Field { number, wire })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, NotProtobuf>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field.ok_or(NotProtobuf))
    }
}

/// The messages of a repeated field.
pub(super) struct Messages<'a> {
    fields: Fields<'a>,
    number: u64,
}

impl<'a> Messages<'a> {
    pub(super) fn of(message: &'a [u8], number: u64) -> Self {
        Self { fields: Fields::of(message), number }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<&'a [u8], NotProtobuf>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.fields.next()? {
                Ok(field) if field.number == self.number => return Some(field.wire.bytes()),
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Adds a number to a message.
pub(super) fn push_number(message: &mut Vec<u8>, number: u64, value: u64) {
    push_varint(message, number << 3);
    push_varint(message, value);
}

/// Adds a text or a message to a message.
pub(super) fn push_bytes(message: &mut Vec<u8>, number: u64, value: &[u8]) {
    push_varint(message, number << 3 | 2);
    push_varint(message, value.len() as u64);
    message.extend_from_slice(value);
}

fn push_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(message: &[u8]) -> Vec<Result<Field<'_>, NotProtobuf>> {
        Fields::of(message).collect()
    }

    #[test]
    fn fields_come_in_the_order_of_the_message() {
        let mut message = Vec::new();
        push_number(&mut message, 1, u64::MAX);
        push_bytes(&mut message, 3_000, b"text");
        message.extend(b"\x11\x01\0\0\0\0\0\0\0\x1d\x02\0\0\0");
        assert_eq!(
            fields(&message),
            [
                Ok(Field { number: 1, wire: Wire::Varint(u64::MAX) }),
                Ok(Field { number: 3_000, wire: Wire::Bytes(b"text") }),
                Ok(Field { number: 2, wire: Wire::Fixed64(1) }),
                Ok(Field { number: 3, wire: Wire::Fixed32(2) }),
            ]
        );
        let texts: Vec<_> = Messages::of(&message, 3_000).collect();
        assert_eq!(texts, [Ok(&b"text"[..])]);
    }

    #[test]
    fn bytes_that_are_no_message_end_the_fields() {
        for message in [
            // No field has the number 0.
            &b"\0\0"[..],
            // A group.
            b"\x0b\x0c",
            b"\x0a\x05abc",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x08",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x09\0\0\0\0\0\0\0",
            b"\x0d\0\0\0",
            b"{}",
        ] {
            assert_eq!(fields(message), [Err(NotProtobuf)], "{message:?}");
        }
        assert_eq!(fields(b""), []);
    }
}
