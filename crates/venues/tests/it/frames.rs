//! What venues may send beyond the usual: spellings, orders, lists, repetitions, sizes; and the shapes of the published fixtures.

use super::data::{lines, read};
use market::{Book, DecimalError, Price, Quantity, Side, Timestamp};
use std::collections::BTreeMap;
use venues::binance::sequencer::{Kind, Outcome, Sequencer};
use venues::binance::wire as binance;
use venues::upbit::wire as upbit;
use venues::{LevelBuffer, Problem, WireError};

fn upbit_units(units: &str) -> Result<LevelBuffer, WireError> {
    let mut levels = LevelBuffer::new();
    let frame = format!(r#"{{"type":"orderbook","code":"KRW-X","timestamp":1,"orderbook_units":[{units}]}}"#);
    let message = upbit::parse(frame.as_bytes(), &mut levels)?;
    let at = Timestamp::from_millis(1);
    assert_eq!(
        message,
        upbit::Message::Orderbook(upbit::OrderbookFrame { code: "KRW-X", at, snapshot: false })
    );
    Ok(levels)
}

fn diff_of(levels: &str) -> Result<LevelBuffer, WireError> {
    let mut buffer = LevelBuffer::new();
    let frame = format!(r#"{{"e":"depthUpdate","E":1,"s":"X","U":1,"u":1,"b":[{levels}],"a":[]}}"#);
    binance::parse(frame.as_bytes(), &mut buffer)?;
    Ok(buffer)
}

#[test]
fn every_spelling_of_a_number_is_exact() {
    for (text, units) in [
        ("1.16539E8", 11_653_900_000_000_000),
        ("1.16539E+8", 11_653_900_000_000_000),
        ("116539000", 11_653_900_000_000_000),
        ("116539000.00000000", 11_653_900_000_000_000),
        ("1.165390005E8", 11_653_900_050_000_000),
        ("7.9276E-4", 79_276),
        ("7.9276e-4", 79_276),
        ("0.00079276", 79_276),
        ("0.000792760000", 79_276),
        ("1.0", 100_000_000),
        ("1.0000000000", 100_000_000),
        ("1E-8", 1),
        ("0.1E-7", 1),
        ("0.00000001", 1),
        ("100E-10", 1),
        ("9.2233720368E10", 9_223_372_036_800_000_000),
        ("92233720368.54775807", i64::MAX),
    ] {
        let unit = format!(r#"{{"ask_price":{text},"bid_price":1,"ask_size":{text},"bid_size":1}}"#);
        let levels = upbit_units(&unit).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(levels.asks[0].price, Price(units), "{text}");
        assert_eq!(levels.asks[0].quantity, Quantity(units.into()), "{text}");
        for quoted in [format!(r#"["{text}","{text}"]"#), format!("[{text},{text}]")] {
            let levels = diff_of(&quoted).unwrap_or_else(|e| panic!("{quoted}: {e}"));
            assert_eq!(levels.bids[0].price, Price(units), "{quoted}");
            assert_eq!(levels.bids[0].quantity, Quantity(units.into()), "{quoted}");
        }
    }
    // A quantity may be larger than any price.
    let large = "1701411834604692317316873037158.84105727";
    assert_eq!(diff_of(&format!(r#"["1","{large}"]"#)).unwrap().bids[0].quantity, Quantity(i128::MAX));
}

#[test]
fn zeros_are_padding_or_removals() {
    for zero in ["0", "0.0", "0E-8", "0e0", "0.00000000", "0E+8"] {
        let unit = format!(r#"{{"ap":{zero},"bp":2,"as":{zero},"bs":{zero}}}"#);
        let levels = upbit_units(&unit).unwrap();
        assert!(levels.asks.is_empty(), "{zero}: a price of zero is padding");
        assert_eq!((levels.bids.len(), levels.bids[0].quantity), (1, Quantity::ZERO), "{zero}");
        let levels = diff_of(&format!(r#"["5","{zero}"]"#)).unwrap();
        assert_eq!(levels.bids[0].quantity, Quantity::ZERO, "{zero}");
        let error = diff_of(&format!(r#"["{zero}","1"]"#)).unwrap_err();
        assert_eq!((error.field, error.problem), ("b", Problem::Sign), "{zero}");
    }
}

#[test]
fn what_does_not_fit_is_an_error_and_never_wraps() {
    use DecimalError::{Syntax, TooLarge, TooPrecise};
    for (text, problem) in [
        ("-0", Problem::Sign),
        ("-0.0", Problem::Sign),
        ("-0E-8", Problem::Sign),
        ("-1", Problem::Sign),
        ("92233720368.54775808", TooLarge.into()),
        ("9.3E10", TooLarge.into()),
        ("1E30", TooLarge.into()),
        ("1E9999", TooLarge.into()),
        ("1E99999", TooLarge.into()),
        ("18446744073709551616", TooLarge.into()),
        ("340282366920938463463374607431768211456", TooLarge.into()),
        ("99999999999999999999999999999999999999999999999999", TooLarge.into()),
        ("0.000000001", TooPrecise.into()),
        ("1.000000001", TooPrecise.into()),
        ("1E-9", TooPrecise.into()),
        ("1E-9999", TooPrecise.into()),
    ] {
        let unit = format!(r#"{{"ap":{text},"bp":1,"as":1,"bs":1}}"#);
        let error = upbit_units(&unit).unwrap_err();
        assert_eq!((error.field, &error.problem), ("ask_price", &problem), "{text}");
        let error = diff_of(&format!(r#"["{text}","1"]"#)).unwrap_err();
        assert_eq!((error.field, &error.problem), ("b", &problem), "{text}");
    }
    for text in ["", ".", "-", "+", "1.2.3", "1E", "E8", "1,2", "0x1", "NaN", "Infinity", " 1", "1 ", "١"] {
        let error = diff_of(&format!(r#"["{text}","1"]"#)).unwrap_err();
        assert_eq!(error.problem, Problem::Number(Syntax), "{text:?}");
    }
    for text in ["01", "1.", ".5", "+1", "1E", "--1", "NaN", "tru"] {
        let unit = format!(r#"{{"ap":{text},"bp":1,"as":1,"bs":1}}"#);
        assert_eq!(upbit_units(&unit).unwrap_err().field, "frame", "{text}: not JSON");
    }
    // Ids have 64 bits; times fit until 2262.
    for (from, to, field) in [
        ("\"u\":1", "\"u\":18446744073709551616", "u"),
        ("\"u\":1", "\"u\":1E3", "u"),
        ("\"E\":1", "\"E\":9223372036855", "E"),
        ("\"E\":1", "\"E\":18446744073709551615", "E"),
        ("\"E\":1", "\"E\":-1", "E"),
    ] {
        let frame = r#"{"e":"depthUpdate","E":1,"s":"X","U":1,"u":1,"b":[],"a":[]}"#.replace(from, to);
        let error = binance::parse(frame.as_bytes(), &mut LevelBuffer::new()).unwrap_err();
        assert_eq!(error.field, field, "{to}");
    }
    let frame =
        r#"{"e":"depthUpdate","E":9223372036854,"s":"X","U":0,"u":18446744073709551615,"b":[],"a":[]}"#;
    let binance::Message::Depth(diff) = binance::parse(frame.as_bytes(), &mut LevelBuffer::new()).unwrap()
    else {
        panic!("no diff")
    };
    assert_eq!((diff.last_id, diff.at), (u64::MAX, Timestamp::from_millis(9_223_372_036_854)));
}

/// Every order of the fields of an object.
fn orders(fields: &[&str]) -> Vec<String> {
    fn grow(left: &[&str], done: &mut Vec<String>, out: &mut Vec<String>) {
        if left.is_empty() {
            out.push(done.join(","));
        }
        for i in 0..left.len() {
            let mut rest = left.to_vec();
            done.push(rest.remove(i).to_owned());
            grow(&rest, done, out);
            done.pop();
        }
    }
    let mut out = Vec::new();
    grow(fields, &mut Vec::new(), &mut out);
    out
}

#[test]
fn fields_come_in_any_order_with_unknown_ones_anywhere() {
    let mut levels = LevelBuffer::new();
    let diff = [
        r#""e":"depthUpdate""#,
        r#""E":9"#,
        r#""s":"X""#,
        r#""U":1,"u":2"#,
        r#""b":[["1","2"]]"#,
        r#""a":[["3","4"],["5","0"]]"#,
        r#""x":{"e":"trade","b":[[],"\"",null]}"#,
    ];
    for fields in orders(&diff) {
        for frame in [
            format!("{{{fields}}}"),
            format!(r#"{{"stream":"x@depth","data":{{{fields}}}}}"#),
            format!(r#"{{"data":{{{fields}}},"y":[1],"stream":"x@depth"}}"#),
        ] {
            let binance::Message::Depth(diff) = binance::parse(frame.as_bytes(), &mut levels).unwrap() else {
                panic!("{frame}")
            };
            assert_eq!((diff.symbol, diff.first_id, diff.last_id), ("X", 1, 2), "{frame}");
            assert_eq!((levels.bids.len(), levels.asks.len()), (1, 2), "{frame}");
        }
    }
    let book = [
        r#""type":"orderbook""#,
        r#""cd":"KRW-X""#,
        r#""timestamp":7"#,
        r#""obu":[{"bs":1,"x":[],"as":2,"bid_price":3,"ask_price":4}]"#,
        r#""st":"SNAPSHOT""#,
        r#""new":[{"ty":"trade","obu":[1]},true]"#,
    ];
    for fields in orders(&book) {
        for frame in [format!("{{{fields}}}"), format!(" [ {{ {fields} }} ] ")] {
            let upbit::Message::Orderbook(book) = upbit::parse(frame.as_bytes(), &mut levels).unwrap() else {
                panic!("{frame}")
            };
            assert_eq!((book.code, book.at, book.snapshot), ("KRW-X", Timestamp::from_millis(7), true));
            assert_eq!(levels.asks[0].price, Price::from_int(4));
            assert_eq!(levels.bids[0].quantity, Quantity::from_int(1));
        }
    }
}

#[test]
fn a_field_that_is_read_stands_there_once() {
    let mut levels = LevelBuffer::new();
    let mut refused = |text: &str| {
        let error = match text.contains("orderbook") {
            true => upbit::parse(text.as_bytes(), &mut levels).map(drop),
            false => binance::parse(text.as_bytes(), &mut levels).map(drop),
        };
        let error = error.expect_err(text);
        assert!(error.to_string().contains("duplicate field"), "{text}: {error}");
    };
    for field in
        [r#""E":1"#, r#""s":"X""#, r#""U":1"#, r#""u":1"#, r#""b":[]"#, r#""a":[]"#, r#""e":"depthUpdate""#]
    {
        refused(&format!(r#"{{"e":"depthUpdate","E":1,"s":"X","U":1,"u":1,"b":[],"a":[],{field}}}"#));
    }
    let book = r#""type":"orderbook","code":"KRW-X","timestamp":1,"orderbook_units":[]"#;
    for field in [r#""ty":"orderbook""#, r#""cd":"KRW-X""#, r#""code":"KRW-X""#, r#""tms":2"#, r#""obu":[]"#]
    {
        refused(&format!("{{{book},{field}}}"));
    }
    refused(&format!("{{{}}}", book.replace("[]", r#"[{"ap":1,"bp":1,"as":1,"bs":1,"ask_price":1}]"#)));
    // What nobody reads may repeat.
    let frame = format!(r#"{{{book},"level":0,"level":1,"x":1,"x":2}}"#);
    assert!(upbit::parse(frame.as_bytes(), &mut levels).is_ok());
    let frame = r#"{"e":"depthUpdate","E":1,"T":1,"T":2,"s":"X","U":1,"u":1,"b":[],"a":[],"x":1,"x":2}"#;
    assert!(binance::parse(frame.as_bytes(), &mut levels).is_ok());
}

#[test]
fn escapes_are_resolved_where_a_text_is_compared_and_refused_where_it_is_handed_on() {
    let mut levels = LevelBuffer::new();
    for frame in [
        r#"{"e":"depth\u0055pdate","E":1,"s":"X","U":1,"u":1,"b":[],"a":[]}"#,
        r#"{"\u0065":"depthUpdate","E":1,"\u0073":"X","U":1,"u":1,"b":[],"a":[]}"#,
    ] {
        let message = binance::parse(frame.as_bytes(), &mut levels).unwrap();
        assert!(matches!(message, binance::Message::Depth(diff) if diff.symbol == "X"), "{frame}");
    }
    let frame = r#"{"e":"server\u0053hutdown","E":1}"#;
    assert_eq!(binance::parse(frame.as_bytes(), &mut levels), Ok(binance::Message::ServerShutdown));
    let frame = r#"{"e":"depthUpdate","E":1,"s":"\u0058","U":1,"u":1,"b":[],"a":[]}"#;
    assert_eq!(binance::parse(frame.as_bytes(), &mut levels).unwrap_err().field, "s");
    let frame = r#"{"t\u0079":"orderb\u006fok","cd":"KRW-X","tms":1,"obu":[],"st":"SNAP\u0053HOT"}"#;
    let message = upbit::parse(frame.as_bytes(), &mut levels).unwrap();
    assert!(matches!(message, upbit::Message::Orderbook(book) if book.snapshot));
    let frame = r#"{"ty":"orderbook","cd":"KRW\u002dX","tms":1,"obu":[]}"#;
    assert_eq!(upbit::parse(frame.as_bytes(), &mut levels).unwrap_err().field, "code");
    let frame = r#"{"error":{"name":"NO\u005fTICKET","message":"\"\ud55c\"","more":1}}"#;
    let upbit::Message::Error { name, message } = upbit::parse(frame.as_bytes(), &mut levels).unwrap() else {
        panic!("no error")
    };
    assert_eq!((name.as_ref(), message.as_ref()), ("NO_TICKET", "\"한\""));
}

#[test]
fn lists_of_upbit() {
    let mut levels = LevelBuffer::new();
    let book = |code: &str, price: u32| {
        format!(r#"{{"ty":"orderbook","cd":"{code}","tms":1,"obu":[{{"ap":{price},"bp":1,"as":1,"bs":1}}]}}"#)
    };
    let two = format!("[{} , {},{{\"ty\":\"trade\"}}]", book("KRW-A", 5), book("KRW-B", 6));
    let mut seen = Vec::new();
    let read = |frame: &str, levels: &mut LevelBuffer, seen: &mut Vec<String>| {
        upbit::parse_each(frame.as_bytes(), levels, |message, levels| {
            let name = match &message {
                upbit::Message::Orderbook(book) => book.code,
                _ => "other",
            };
            seen.push(format!("{name} {:?}", levels.asks.first().map(|level| level.price)));
        })
    };
    read(&two, &mut levels, &mut seen).unwrap();
    assert_eq!(seen, ["KRW-A Some(5)", "KRW-B Some(6)", "other None"]);
    assert_eq!(upbit::parse(two.as_bytes(), &mut levels).unwrap_err().problem, Problem::Shape);
    assert_eq!(upbit::parse(b"[]", &mut levels).unwrap_err().problem, Problem::Shape);
    seen.clear();
    read("[]", &mut levels, &mut seen).unwrap();
    read(&book("KRW-C", 7), &mut levels, &mut seen).unwrap();
    assert_eq!(seen, ["KRW-C Some(7)"]);
    // The second cannot be read: the first has been handed over.
    seen.clear();
    let broken = format!("[{},{}]", book("KRW-A", 5), book("KRW-B", 6).replace("\"tms\":1,", ""));
    assert_eq!(read(&broken, &mut levels, &mut seen).unwrap_err().field, "timestamp");
    assert_eq!(seen, ["KRW-A Some(5)"]);
    assert_eq!(levels, LevelBuffer::new());
    assert!(read(&two[..two.len() - 1], &mut levels, &mut seen).is_err());
}

#[test]
fn answers_and_farewells_of_binance() {
    use binance::Message::{Other, ServerShutdown, SubscribeAck};
    let ack = |id, ok| SubscribeAck { id, ok };
    for (frame, message) in [
        (r#"{"result":null,"id":1}"#, ack(Some(1), true)),
        (r#"{"id":3,"result":["btcusdt@depth"]}"#, ack(Some(3), true)),
        (r#"{"result":null,"id":"a-b"}"#, ack(None, true)),
        (r#"{"code":2,"msg":"Invalid request: unknown variant `X`","id":7}"#, ack(Some(7), false)),
        (r#"{"error":{"code":3,"msg":"Invalid JSON"},"id":7}"#, ack(Some(7), false)),
        (r#"{"error":{"code":3,"msg":"Invalid JSON: expected value"}}"#, ack(None, false)),
        (r#"{"e":"serverShutdown","E":1770123456789}"#, ServerShutdown),
        (r#"{"E":1770123456789,"e":"serverShutdown","why":"\n"}"#, ServerShutdown),
        (r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}"#, ServerShutdown),
        (r#"{"data":{"E":1},"stream":"!serverShutdown"}"#, ServerShutdown),
        (r#"{"stream":"btcusdt@kline_1m","data":{"e":"kline","E":1,"s":"BTCUSDT","k":{"t":1}}}"#, Other),
        (r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1,"a":7,"b":8}}"#, Other),
    ] {
        let mut levels = LevelBuffer::new();
        assert_eq!(binance::parse(frame.as_bytes(), &mut levels), Ok(message), "{frame}");
        assert_eq!(levels, LevelBuffer::new());
    }
}

/// The messages of a published fixture: what follows a line that begins with `=`, or the whole file.
fn fixture(name: &str) -> Option<String> {
    let text = String::from_utf8(read(name)?).unwrap();
    let start = text.find("\n= ").or_else(|| text.find("\n=\n")).map_or(0, |at| at + 2);
    let start = start + text[start..].find('{').unwrap();
    Some(text[start..].trim_end_matches(['\u{feff}', '\n', '\r', ' ']).to_owned())
}

#[test]
fn published_shapes_of_frames_and_snapshots() {
    let mut levels = LevelBuffer::new();
    for name in ["Spot__ExchangeData__BookTicker", "UsdFutures__BookTicker"] {
        let Some(text) = fixture(&format!("binance/jkorf_fixtures/Subscriptions__{name}.txt")) else {
            return;
        };
        let message = binance::parse(text.as_bytes(), &mut levels).unwrap();
        let binance::Message::BookTicker(quote) = message else { panic!("{message:?}") };
        assert_eq!((quote.symbol, quote.update_id), ("BNBUSDT", 400_900_217));
        assert_eq!(quote.ask.quantity, Quantity::parse("40.66").unwrap());
    }
    for (name, id) in [
        ("Endpoints__CoinFutures__ExchangeData__GetOrderBook", 16_769_853),
        ("Endpoints__UsdFutures__ExchangeData__GetOrderBook", 1_027_024),
    ] {
        let text = fixture(&format!("binance/jkorf_fixtures/{name}.txt")).unwrap();
        let snapshot = binance::parse_snapshot(text.as_bytes(), &mut levels).unwrap();
        assert_eq!((snapshot.last_update_id, levels.bids.len(), levels.asks.len()), (id, 1, 1));
    }
    // All other subscriptions: read, and nothing of ours.
    for name in
        ["Spot__ExchangeData__AggregatedTrades", "Spot__ExchangeData__MiniTicker", "UsdFutures__MarkPrice"]
    {
        let text = fixture(&format!("binance/jkorf_fixtures/Subscriptions__{name}.txt")).unwrap();
        let message = binance::parse(text.as_bytes(), &mut levels);
        assert_eq!(message, Ok(binance::Message::Other), "{name}");
    }
    let text = fixture("upbit/jkorf_fixtures/Subscriptions__Spot__OrderBook.txt").unwrap();
    let upbit::Message::Orderbook(book) = upbit::parse(text.as_bytes(), &mut levels).unwrap() else {
        panic!("no book")
    };
    assert_eq!((book.code, book.at), ("KRW-ETH", Timestamp::from_millis(1_746_601_573_804)));
    assert_eq!((levels.bids.len(), levels.asks[0].price), (5, Price::from_int(137_002_000)));
}

/// After every applied diff of the captures of four symbols, the touch equals the newest best quote whose id lies between this
/// diff and the one before it.
#[test]
fn the_books_of_four_symbols_show_the_best_quotes() {
    for (prefix, kind) in [("spot_20211012", Kind::Spot), ("usdm_20210722", Kind::UsdM)] {
        let (Some(stream), Some(rest)) = (
            read(&format!("binance/cryptofeed/{prefix}_ws.txt")),
            read(&format!("binance/cryptofeed/{prefix}_depth_snapshots_rest.txt")),
        ) else {
            return;
        };
        let frames: Vec<&str> = lines(&stream).filter_map(|line| Some(line.split_once(": ")?.1)).collect();
        let mut levels = LevelBuffer::new();
        let mut quotes: BTreeMap<&str, Vec<binance::BookTicker<'_>>> = BTreeMap::new();
        for frame in &frames {
            if let binance::Message::BookTicker(quote) =
                binance::parse(frame.as_bytes(), &mut levels).unwrap()
            {
                quotes.entry(quote.symbol).or_default().push(quote);
            }
        }
        let mut books: BTreeMap<String, (Sequencer, Book)> = BTreeMap::new();
        for line in lines(&rest) {
            let Some((request, answer)) = line.split_once(" -> ") else { continue };
            let symbol = request.split("symbol=").nth(1).unwrap().split('&').next().unwrap();
            let body = answer.split_once(": ").unwrap().1;
            let snapshot = binance::parse_snapshot(body.as_bytes(), &mut levels).unwrap();
            let (sequencer, book) =
                books.entry(symbol.to_owned()).or_insert_with(|| (Sequencer::new(kind), Book::new()));
            assert_eq!(sequencer.on_snapshot(snapshot, &levels, book), Outcome::Synced);
        }
        let (mut checks, mut before) = (0, BTreeMap::new());
        for frame in &frames {
            let binance::Message::Depth(diff) = binance::parse(frame.as_bytes(), &mut levels).unwrap() else {
                continue;
            };
            let (sequencer, book) = books.get_mut(diff.symbol).unwrap();
            if sequencer.on_diff(&diff, &levels, book) != Outcome::Applied {
                continue;
            }
            let previous = before.insert(diff.symbol, diff.last_id).unwrap_or(u64::MAX);
            let quote =
                quotes.get(diff.symbol).into_iter().flatten().rfind(|quote| quote.update_id <= diff.last_id);
            if let Some(quote) = quote.filter(|quote| quote.update_id > previous) {
                assert_eq!(book.best(Side::Bid), Some(quote.bid), "{frame}");
                assert_eq!(book.best(Side::Ask), Some(quote.ask), "{frame}");
                checks += 1;
            }
        }
        println!("{prefix}: {checks} touches equal the best quotes");
        assert!(checks > 20, "{prefix}: {checks}");
    }
}

/// The local clock of the large captures runs behind the venue's: what the venue sent seems to come from the future. Nothing
/// here knows a local clock, and the differences are plain numbers.
#[test]
fn a_local_clock_behind_the_venues_gives_negative_latencies_and_nothing_else() {
    let Some(bytes) = read("binance/hftbacktest/spot_btcusdt_20240808.gz") else { return };
    let mut levels = LevelBuffer::new();
    let (mut least, mut most) = (i64::MAX, i64::MIN);
    for line in lines(&bytes) {
        let (received, frame) = line.split_once(' ').unwrap();
        if let binance::Message::Depth(diff) = binance::parse(frame.as_bytes(), &mut levels).unwrap() {
            let latency = Timestamp(received.parse().unwrap()).since(diff.at);
            (least, most) = (least.min(latency), most.max(latency));
        }
    }
    assert!(least < -1_000_000_000 && most < 0, "{least} to {most}");
}
