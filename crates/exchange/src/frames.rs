//! The messages of the streams: the venues' encodings of the market's books, with what faults do to their contents and text.

use crate::faults::stream::{PADDED_TO, Treatment};
use crate::hub::{BinanceView, UpbitView};
use crate::model::Model;
use crate::model::ladder::Rung;
use crate::{Format, binance_wire, orderbook_frame};
use axum::extract::ws::Message;
use bytes::Bytes;

/// A symbol that no venue lists.
const STRAY: &str = "ZZZZ";

/// Upbit's book of a symbol, with what faults do to it.
pub fn upbit_message(
    model: &Model,
    index: usize,
    view: UpbitView,
    now_ms: i64,
    stream: &str,
    how: &Treatment,
) -> Message {
    let symbol = &model.symbols()[index];
    let code = symbol.listing.upbit.as_deref().unwrap_or_default();
    let [bids, asks] = &symbol.upbit;
    let (mut bids, mut asks) = (std::borrow::Cow::Borrowed(bids.rungs()), asks.rungs());
    if let (true, Some(ask)) = (how.crossed, asks.first())
        && let Some(best) = bids.to_mut().first_mut()
    {
        best.price = ask.price;
    }
    if how.padded {
        asks = &asks[..asks.len().min(PADDED_TO)];
    }
    let at = now_ms + how.shift_ms;
    let frame = orderbook_frame(view.format, code, at, &bids, asks, view.depth, stream);
    Message::Binary(Bytes::from(how.spoil(frame)))
}

/// A book that nobody asked for.
pub fn upbit_stray(format: Format, now_ms: i64) -> Message {
    let rung = |price: i64| [Rung { price: price * 100_000_000, size: 100_000_000 }];
    let frame =
        orderbook_frame(format, &format!("KRW-{STRAY}"), now_ms, &rung(99), &rung(100), 1, "REALTIME");
    Message::Binary(Bytes::from(frame))
}

/// A Binance event of a symbol, with what faults do to it.
pub fn binance_message(
    model: &Model,
    index: usize,
    view: BinanceView,
    combined: bool,
    now_ms: i64,
    how: &Treatment,
) -> Message {
    let symbol = &model.symbols()[index];
    let data = match view {
        BinanceView::Diff => {
            let ask = symbol.binance[1].rungs().first().copied().filter(|_| how.crossed);
            binance_wire::depth_update_with(symbol, now_ms + how.shift_ms, ask)
        }
        BinanceView::Top => binance_wire::book_ticker(symbol, false),
        BinanceView::Partial { depth, .. } => binance_wire::book(symbol, depth),
    };
    let text = if combined {
        let code = symbol.listing.binance.as_deref().unwrap_or_default().to_ascii_lowercase();
        binance_wire::envelope(&format!("{code}@{}", view.name()), &data)
    } else {
        data
    };
    // The texts are ASCII, and so is what is left of a spoilt one.
    Message::Text(String::from_utf8(how.spoil(text.into_bytes())).unwrap_or_default().into())
}

/// An event that nobody asked for.
pub fn binance_stray(combined: bool, now_ms: i64) -> Message {
    let event = format!(
        r#"{{"e":"depthUpdate","E":{now_ms},"s":"{STRAY}USDT","U":1,"u":2,"b":[["99.00000000","1.00000000"]],"a":[]}}"#
    );
    let text = if combined {
        binance_wire::envelope(&format!("{}usdt@depth@100ms", STRAY.to_ascii_lowercase()), &event)
    } else {
        event
    };
    Message::Text(text.into())
}

/// The announcement that the server will shut down.
pub fn binance_shutdown(combined: bool, now_ms: i64) -> Message {
    let event = format!(r#"{{"e":"serverShutdown","E":{now_ms}}}"#);
    let text = if combined { binance_wire::envelope("!serverShutdown", &event) } else { event };
    Message::Text(text.into())
}
