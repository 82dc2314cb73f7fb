//! The judge's own sentences in Korean: reasons, values in words, thresholds, conditions, findings.
//!
//! The judge speaks English, and its words are evidence. Here its fixed phrases get a Korean reading by pattern; a phrase that
//! no pattern knows stays as it was said. Figures are carried over untouched. The report's own labels are in `words`.

use super::words::{Words, fill};
use super::{findings, problems};
use catalogue::{CRITERIA, RULES};
use gate::value::figure;

/// A sentence of the judge in the report's language.
pub(super) fn said(text: &str, w: &Words) -> String {
    if w.is_korean() { korean(text) } else { text.to_owned() }
}

/// The text with its seconds to one decimal: `38.9999 s` reads `39 s`.
pub(crate) fn short_seconds(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let short = |(i, word): (usize, &&str)| {
        let unit = words.get(i + 1).is_some_and(|next| next.trim_end_matches([':', ';', ',', '.']) == "s");
        match word.parse::<f64>() {
            Ok(seconds) if unit && seconds.is_finite() => figure((seconds * 10.0).round() / 10.0),
            _ => (*word).to_owned(),
        }
    };
    words.iter().enumerate().map(short).collect::<Vec<_>>().join(" ")
}

/// How deep phrases nest at most: a reason holds a value, a value holds a figure.
const DEPTH: usize = 6;

pub(super) fn korean(text: &str) -> String {
    reading(&in_plural(text), DEPTH)
}

/// `1 episode` as `1 episodes`: Korean makes no difference, so that one pattern serves both.
fn in_plural(text: &str) -> String {
    const SINGULAR: [&str; 18] = [
        "alert",
        "episode",
        "close",
        "round trip",
        "entry",
        "equity point",
        "answer",
        "sum",
        "scrape",
        "order",
        "fill",
        "delivery",
        "opportunity",
        "poll",
        "crash block",
        "log line",
        "ERROR line",
        "hang",
    ];
    let mut out = text.to_owned();
    for word in SINGULAR {
        let many = match word.strip_suffix('y') {
            Some(stem) => format!("{stem}ies"),
            None => format!("{word}s"),
        };
        let one = format!("1 {word}");
        let mut from = 0;
        while let Some(at) = out[from..].find(&one).map(|at| at + from) {
            let end = at + one.len();
            let begins = !out[..at].ends_with(|c: char| c.is_ascii_digit() || c == '.' || c == ',');
            let ends = !out[end..].starts_with(|c: char| c.is_ascii_alphabetic());
            from = end;
            if begins && ends {
                out.replace_range(at..end, &format!("1 {many}"));
                from = at + 2 + many.len();
            }
        }
    }
    out
}

fn reading(text: &str, depth: usize) -> String {
    if depth == 0 {
        return text.to_owned();
    }
    if let Some(found) = exact(text) {
        return found.to_owned();
    }
    for (pattern, sentence) in patterns() {
        if let Some(parts) = parts(text, pattern) {
            let read: Vec<String> = parts.into_iter().map(|part| reading(part, depth - 1)).collect();
            return fill(sentence, &read.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
    for glue in ["; ", ", "] {
        let parts = split_outside(text, glue);
        if parts.len() > 1 {
            return parts.into_iter().map(|part| reading(part, depth - 1)).collect::<Vec<_>>().join(glue);
        }
        // `journal.log: why`, `total_trades: why`: a file or a field keeps its name.
        if let Some((name, why)) = text.split_once(": ").filter(|(name, _)| !name.contains(' ')) {
            return format!("{name}: {}", reading(why, depth - 1));
        }
    }
    // `M3 (75 closes: ...)`: a criterion with its value.
    if let Some((id, value)) = text.strip_suffix(')').and_then(|text| text.split_once(" ("))
        && CRITERIA.iter().any(|criterion| criterion.id.as_str() == id)
    {
        return format!("{id} ({})", reading(value, depth - 1));
    }
    text.to_owned()
}

/// Splits where the glue stands outside brackets.
fn split_outside<'a>(text: &'a str, glue: &str) -> Vec<&'a str> {
    let (mut parts, mut from, mut open) = (Vec::new(), 0, 0_i32);
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' => open += 1,
            ')' | ']' => open -= 1,
            _ if open == 0 && at >= from && text[at..].starts_with(glue) => {
                parts.push(&text[from..at]);
                from = at + glue.len();
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

/// Every pattern; those that begin with any words come late.
fn patterns() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let of = |wide: bool| problems::PATTERNS.iter().filter(move |(text, _)| text.starts_with("{}") == wide);
    of(false).chain(PATTERNS).chain(findings::PATTERNS).chain(of(true))
}

fn exact(text: &str) -> Option<&'static str> {
    EXACT
        .iter()
        .chain(findings::EXACT)
        .chain(problems::EXACT)
        .find(|(english, _)| *english == text)
        .map(|(_, korean)| *korean)
        .or_else(|| {
            let rule = RULES.iter().find(|rule| rule.title == text).map(|rule| rule.title_ko);
            rule.or_else(|| CRITERIA.iter().find(|c| c.title == text).map(|c| c.title_ko))
        })
}

/// What stands in the places of a pattern; `None` when the text is another one. `{}` takes any words, `{#}` a figure.
fn parts<'a>(text: &'a str, pattern: &str) -> Option<Vec<&'a str>> {
    let mut places = pattern.split('{');
    let mut left = text.strip_prefix(places.next()?)?;
    let mut found = Vec::new();
    let mut places = places.peekable();
    while let Some(place) = places.next() {
        let (kind, literal) = place.split_once('}')?;
        let at = match (literal, places.peek()) {
            (_, None) => left.len().checked_sub(literal.len()).filter(|_| left.ends_with(literal))?,
            (literal, Some(_)) => left.find(literal)?,
        };
        let part = &left[..at];
        let number = |c: char| c.is_ascii_digit() || "+-.".contains(c);
        if part.is_empty() || (kind == "#" && !part.chars().all(number)) {
            return None;
        }
        found.push(part);
        left = &left[at + literal.len()..];
    }
    Some(found)
}

/// Whole phrases.
const EXACT: &[(&str, &str)] = &[
    ("none", "없음"),
    ("take_profit", "익절"),
    ("stop_loss", "손절"),
    ("time_limit", "보유 시간 초과"),
    ("spread_reversal", "스프레드 반전"),
    ("CPU", "CPU"),
    ("memory", "메모리"),
    ("no main run", "본 실행 없음"),
    ("no runner was started", "러너가 시작되지 않음"),
    ("judged on the smoke", "스모크 실행으로 판정"),
    ("nobody of ours watched it run", "실행을 지켜본 감독자가 없음"),
    ("how long it ran, and on what market", "실행 시간과 시장"),
    ("its exit status and what it did after the last line", "종료 상태와 마지막 로그 이후의 동작"),
    ("whether its metrics answered", "메트릭 응답 여부"),
    ("what the dashboard showed", "대시보드에 표시된 내용"),
    ("the operating system's figures were never read", "운영체제의 수치를 한 번도 읽지 못함"),
    (
        "fewer than 20 samples of the runner's own CPU or memory figure beside an independent reading",
        "독립 측정값과 함께 비교할 러너의 CPU·메모리 표본이 20개 미만",
    ),
    ("fewer than two scrapes", "수집이 2회 미만"),
    ("how long it ran is not on record", "실행 시간이 기록되어 있지 않음"),
    (
        "neither the KPI file nor the last scrape has parts to add up",
        "KPI 파일과 마지막 수집에 합산할 항목이 없음",
    ),
    ("there is no KPI file among the artefacts", "산출물에 KPI 파일이 없음"),
    ("there is no journal among the artefacts", "산출물에 저널이 없음"),
    ("there are no alert rows among the artefacts", "산출물에 알림 기록이 없음"),
    ("there is no log among the artefacts", "산출물에 로그가 없음"),
    ("there is no metrics snapshot among the artefacts", "산출물에 메트릭 스냅숏이 없음"),
    ("there is no trade log among the artefacts", "산출물에 거래 로그가 없음"),
    (
        "no universe: not one symbol is listed on both venues and passes the filters; see the universe's settings",
        "대상 종목 없음: 두 거래소에 모두 상장되고 필터를 통과한 종목이 하나도 없습니다. 유니버스 설정을 확인하십시오.",
    ),
    ("judged on Assay's own dispatcher", "Assay 자체 디스패처로 판정"),
    ("declared not applicable", "해당 없음으로 선언됨"),
    ("no delivery table: by the runner's own counters", "전송 기록 표가 없어 러너 자체 카운터로 판정함"),
    (
        "every panel is declared not applicable, and C6 is never waived whole",
        "모든 패널이 해당 없음으로 선언되었으나 C6은 전체를 면제할 수 없습니다",
    ),
    ("the reasons of the exits are not known", "청산 사유를 알 수 없음"),
    ("time was scaled (time_scale)", "시간 배율이 적용됨 (time_scale)"),
    ("interrupted: a start record and no end record", "중단됨: 시작 기록만 있고 종료 기록이 없음"),
    ("no block at all", "차단이 한 번도 없었음"),
    ("no closed trades", "청산된 거래 없음"),
    ("no winning trades", "이익 거래 없음"),
    ("no losing trades", "손실 거래 없음"),
    ("no guard triggers", "가드 발동 없음"),
    ("undefined", "정의되지 않음"),
    ("no interval", "신뢰구간을 계산할 수 없음"),
    ("the interval holds 0", "신뢰구간에 0이 포함됨"),
    ("no panel was ever asked", "패널을 한 번도 조회하지 못함"),
    ("C1 to C6, H1 to H5 and M4 pass", "C1~C6, H1~H5, M4 모두 통과"),
    ("H6 and M1 to M3 pass", "H6, M1~M3 모두 통과"),
    // Thresholds.
    ("full duration; books Live >= 90 %", "계획 시간 전체 실행, 호가창 Live 비율 >= 90 %"),
    ("0 absent, 0 implausible", "값 없음 0개, 신뢰 불가 0개"),
    ("DLQ = 0; delivered >= 1", "DLQ = 0, 전달 >= 1건"),
    ("missed <= max(1, 1 %)", "누락 <= max(1회, 1 %)"),
    ("all panels", "모든 패널"),
    ("<= 10 %/h or < 8 MiB/h", "<= 10 %/h 또는 < 8 MiB/h"),
    ("50 to 80 %", "50 % 이상 80 % 이하"),
    ("95 % interval > 0; >= 20 episodes", "95 % 신뢰구간 > 0, 에피소드 >= 20개"),
    ("4 of 4; >= 10 closes", "4종 모두, 청산 >= 10건"),
    ("<= 5 % of the triggers", "발동 건수의 5 % 이하"),
    // Conditions of the watch rules.
    (
        "CRASH or WORKER_DIED; non-zero exit, signal, or exit before duration - 1 s, none of it after our own stop signal; at once",
        "CRASH 또는 WORKER_DIED, 0이 아닌 종료 코드, 시그널, 계획 시간보다 1초 넘게 이른 종료(Assay가 보낸 정지 시그널 이후는 제외), 즉시",
    ),
    ("alert_dlq_total > 0; at once", "alert_dlq_total > 0, 즉시"),
    ("a required notifier at 0.0; at once", "필수 알림 채널의 가용성이 0.0, 즉시"),
    ("loop latency p99 > 100 ms for 5 min", "루프 지연 p99 > 100 ms가 5분간 지속"),
    (
        "CPU > 80 % of the profile's cpu_cores for 10 min",
        "CPU > 80 %(프로파일의 cpu_cores 기준)가 10분간 지속",
    ),
    ("memory growth > 10 %/h and > 8 MiB/h over 20 min", "20분간 메모리 증가율 > 10 %/h 그리고 > 8 MiB/h"),
    (
        "PnL down 10 % or more of paper capital from its peak; at once",
        "손익이 고점 대비 모의 자본의 10 % 이상 하락, 즉시",
    ),
    (
        "no progress of the declared progress signal for 60 s while the process lives",
        "프로세스가 살아 있는데 진행 신호가 60초간 멈춤",
    ),
    ("no successful scrape for 60 s", "60초간 메트릭 수집이 한 번도 성공하지 못함"),
    ("win rate < 50 % with >= 20 closed trades for 30 min", "청산 20건 이상에서 승률 < 50 %가 30분간 지속"),
    ("round trips unchanged over 30 min", "30분간 왕복 거래 수 변화 없음"),
    ("guard triggers > 50 per hour within 1 h", "1시간 안에 가드 발동이 시간당 50회 초과"),
    ("alert success rate < 90 % for 30 min", "알림 전송 성공률 < 90 %가 30분간 지속"),
    ("no loop latency since the last sample", "마지막 표본 이후 루프 지연 관측 없음"),
    ("no successful scrape", "메트릭 수집이 성공하지 못함"),
    ("scraped", "메트릭 수집됨"),
    ("the scrape failed", "메트릭 수집 실패"),
    ("in its grace", "유예 시간 중"),
    ("loop latency", "루프 지연"),
    ("CPU reading", "CPU 관측"),
    ("no alert delivered or failed", "전송되거나 실패한 알림 없음"),
    ("no memory reading after the settling time", "안정화 시간 이후 메모리 관측 없음"),
    ("no memory reading in the sample", "표본에 메모리 관측 없음"),
    ("the progress signal has no sample", "진행 신호의 표본이 없음"),
    ("the KPI file has named no paper_capital_usd yet", "KPI 파일에 아직 paper_capital_usd가 없음"),
    // Plausibility rules.
    (
        "measured twice: CPU, peak memory, duration by supervisor and runner",
        "이중 측정: CPU, 최대 메모리, 실행 시간(감독자와 러너)",
    ),
    ("recomputed: every trading KPI from the journal", "재계산: 모든 거래 KPI를 저널에서 다시 계산"),
    ("flat against movement", "러너의 수치만 움직이지 않음"),
    ("identical outcomes", "결과가 서로 똑같은 거래"),
    ("counters that go backwards without a restart", "재시작 없이 감소한 카운터"),
    ("rates beyond what the time allows", "시간상 불가능한 비율"),
    ("parts that do not add up", "부분의 합과 전체의 불일치"),
    ("the same vector in smoke and main", "스모크와 본 실행의 값이 동일"),
    ("currency: notional, result and price of a trade", "통화: 거래의 명목 금액, 손익, 가격"),
    ("both legs of a round trip on one venue", "왕복 거래의 양쪽이 같은 거래소"),
    ("a leg filled better than the book displayed", "호가창보다 유리하게 체결된 주문"),
    ("evidence class derived, not declared", "증거 등급은 선언이 아니라 관측으로 결정"),
    ("identity: the snapshot's run id, or the socket's owner", "동일성: 스냅숏의 실행 ID 또는 소켓 소유자"),
    ("not sold as a record", "공식 기록으로 주장하지 않음"),
    // Questions of the diagnosis.
    ("Why did it crash?", "왜 크래시가 발생했는가?"),
    ("Why are there no round trips?", "왜 왕복 거래가 없는가?"),
    ("Why are there dead letters?", "왜 DLQ에 적재된 알림이 있는가?"),
    ("Why is the loop slow?", "왜 루프가 느린가?"),
    ("Why does memory grow?", "왜 메모리가 증가하는가?"),
    (
        "no data: no book update reached the engine; see venue health and connections",
        "데이터 없음: 호가창 갱신이 엔진에 도달하지 않았습니다. 거래소 상태와 연결을 확인하십시오.",
    ),
    (
        "the profile says that the market was not the venues (data_source = \"local\")",
        "프로파일이 실제 거래소의 시장이 아니라고 선언했습니다(data_source = \"local\")",
    ),
    (
        "no universe or no Live pair: books were updated and no pair was ever evaluated",
        "대상 종목이 없거나 Live 상태인 쌍이 없음: 호가창은 갱신되었으나 평가된 쌍이 없습니다.",
    ),
];

/// Phrases with figures; the first that fits is taken, so the narrow ones stand before the wide ones.
const PATTERNS: &[(&str, &str)] = &[
    (
        "the market was a local exchange ({}), not the venues",
        "실제 거래소가 아니라 로컬 거래소({0})에서 실행했습니다",
    ),
    ("{} [funnel: {}]", "{0} [퍼널: {1}]"),
    (
        "ATTESTED by {} at {} with {}; by itself not proven: {}",
        "{0}이(가) {1}에 {2}을(를) 근거로 수동 확인함. 자체로는 증명되지 않음: {3}",
    ),
    ("{} [attested: {}]", "{0} [수동 확인: {1}]"),
    ("{#} of 16 judged, {} attested by a person", "16개 중 {0}개 판정, {1}은(는) 사람이 수동 확인"),
    ("artefacts that were made elsewhere: {}", "다른 곳에서 만들어진 산출물: {0}"),
    (
        "{}; the KPI file claims {} {}, which nobody else measured",
        "{0}; KPI 파일은 {1} {2}라고 주장하나 다른 측정이 없음",
    ),
    (
        "CPU stood at {#} in {#} versions of the KPI file, and nobody but the runner measured it",
        "KPI 파일의 {1}개 판에서 CPU가 계속 {0}이며, 러너 외에는 아무도 측정하지 않음",
    ),
    (
        "memory stood at {#} in {#} versions of the KPI file, and nobody but the runner measured it",
        "KPI 파일의 {1}개 판에서 메모리가 계속 {0}이며, 러너 외에는 아무도 측정하지 않음",
    ),
    (
        "{}: the runner's own figure stood at {} over {#} samples, the supervisor's moved by {}",
        "{0}: 표본 {2}개에서 러너의 수치는 {1}에 멈춰 있고, 감독자의 수치는 {3}만큼 움직임",
    ),
    (
        "{}: the runner's own figure stood at {} over {#} samples, its metrics moved by {}",
        "{0}: 표본 {2}개에서 러너의 수치는 {1}에 멈춰 있고, 메트릭은 {3}만큼 움직임",
    ),
    (
        "{}: the runner's own figure moved over {#} samples, its metrics moved by {}",
        "{0}: 표본 {1}개에서 러너의 수치가 움직였고, 메트릭은 {2}만큼 움직임",
    ),
    (
        "{#} trades at the very same prices with the same net {} USD",
        "거래 {0}건의 가격이 모두 같고 순손익도 {1} USD로 동일",
    ),
    ("{#} trades at the very same prices", "거래 {0}건의 가격이 모두 동일"),
    ("{#} trades at distinct prices with the same net {}", "서로 다른 가격의 거래 {0}건이 같은 순손익 {1}"),
    (
        "{#} of {#} trades in the trade log have the same net {} USD",
        "거래 로그의 {1}건 중 {0}건이 같은 순손익 {2} USD",
    ),
    (
        "{#} of {#} steps of the PnL are exactly {} USD for each round trip",
        "손익 증분 {1}개 중 {0}개가 왕복 거래마다 정확히 {2} USD",
    ),
    ("the final snapshot is of run {}, answered by {}", "최종 스냅숏은 실행 {0}의 것이며 응답자는 {1}"),
    ("the socket of the final snapshot belongs to {}", "최종 스냅숏의 소켓 소유자는 {0}"),
    (
        "the final snapshot is of a process started {} s before the runner was",
        "최종 스냅숏은 러너보다 {0}초 먼저 시작된 프로세스의 것임",
    ),
    (
        "the final snapshot is of a process started at {}, the KPI file's process started at {}",
        "최종 스냅숏은 {0}에 시작된 프로세스의 것이고 KPI 파일의 프로세스는 {1}에 시작됨",
    ),
    ("{} ms by the scrape, {} ms by the runner", "수집 기준 {0} ms, 러너 기준 {1} ms"),
    ("cannot be true: {}", "사실일 수 없음: {0}"),
    ("{}; {} grew most, by {} MB; {}", "{0}; 가장 많이 증가한 구성 요소는 {1}({2} MB); {3}"),
    (
        "guards: {#} opportunities above the threshold, {#} blocked (most by {}: {#}) and none was sent",
        "가드: 임계값을 넘은 기회 {0}건 중 {1}건 차단(가장 많이 차단한 규칙 {2}: {3}건), 전송된 주문 없음",
    ),
    (
        "guards: {#} opportunities above the threshold, {#} blocked and none was sent",
        "가드: 임계값을 넘은 기회 {0}건 중 {1}건 차단, 전송된 주문 없음",
    ),
    ("{#} figures compared, {#} equal in both", "비교한 수치 {0}개, 그중 {1}개 동일"),
    ("aborted by {} at {#} s: {}", "{1}초에 {0} 규칙으로 중단됨: {2}"),
    ("aborted by {}: {}", "{0} 규칙으로 중단됨: {1}"),
    (
        "{#} of 16 criteria pass, all 6 critical ones among them",
        "기준 16개 중 {0}개 통과, 필수 기준 6개는 모두 통과",
    ),
    ("{#} of 16 judged", "16개 중 {0}개 판정"),
    ("capped: {} (and {#} more)", "판정 상한: {0} (그 외 {1}건)"),
    ("capped: {}", "판정 상한: {0}"),
    ("{} ({}) is not built in this version", "{0}({1})은(는) 이 버전에 구현되지 않았습니다"),
    ("{} fired: {}", "{0} 발동: {1}"),
    ("the last page, {}, is older than the KPI file", "마지막 메트릭 페이지({0})가 KPI 파일보다 이전 시점임"),
    ("no cross-check of {}: {}", "{0}의 교차 확인 불가: {1}"),
    ("{} is not applicable: {}", "{0}은(는) 해당 없음: {1}"),
    ("custom profile: {}", "사용자 정의(custom) 프로파일: {0}"),
    ("no round trip was proven before the main run: {}", "본 실행 전에 왕복 거래가 증명되지 않음: {0}"),
    ("{} failed: {} (threshold {})", "{0} 실패: {1} (기준: {2})"),
    ("{} not proven: {}", "{0} 증명되지 않음: {1}"),
    ("interrupted: {}", "중단됨: {0}"),
    (
        "no opportunity: {#} pairs were evaluated on live data, {#} had a gross edge, {#} a net edge, and none reached the threshold; this is an answer about the market, no reason to lower the threshold",
        "기회 없음: 실시간 데이터로 평가한 {0}회 가운데 총 엣지가 있던 것은 {1}회, 순 엣지가 있던 것은 {2}회이며 임계값에 도달한 것은 없습니다. 이는 시장에 대한 답이며, 임계값을 낮출 이유가 아닙니다.",
    ),
    (
        "failed fills: {#} orders sent, {#} rejected, none filled",
        "체결 실패: 주문 {0}건 전송, {1}건 거부, 체결 없음",
    ),
    ("few: {#} round trips; {}", "왕복 거래 부족: {0}건; {1}"),
    ("most were lost between {} ({#}) and {} ({#})", "{0}({1})에서 {2}({3}) 사이에서 가장 많이 사라짐"),
    ("{#} deliveries ended in the dead letters: {}", "전송 {0}건이 DLQ에 적재됨: {1}"),
    ("the slowest stage is {} with a p99 of {} ms", "가장 느린 단계는 {0}, p99 {1} ms"),
    ("pending for {#} s of {#} s: {}", "기준 {1}초 중 {0}초 경과: {2}"),
    ("frozen: {}", "표본 없음: {0}"),
    ("clear: {}", "정상: {0}"),
    ("declared not applicable: {}", "해당 없음으로 선언됨: {0}"),
    ("{#} round trips for {#} s", "{1}초 동안 왕복 거래 {0}건에서 변화 없음"),
    ("{#} round trips", "왕복 거래 {0}건"),
    // What the watch rules say.
    ("exit code {#} at {#} s", "{1}초에 종료 코드 {0}"),
    ("alert_dlq_total = {#}", "alert_dlq_total = {0}건"),
    ("CPU {#} %", "CPU 사용률 {0} %"),
    ("error rate {#} %", "오류율 {0} %"),
    ("loop latency {} {#} ms", "루프 지연 {0} {1} ms"),
    ("memory growth {#} %/h, {#} MiB/h", "메모리 증가 {0} %/h, {1} MiB/h"),
    ("{#} s of memory readings, {#} s needed", "메모리 관측 {0}초 (필요 {1}초)"),
    (
        "PnL {#} % of paper capital below its peak of {#} USD",
        "손익이 고점 {1} USD에서 모의 자본의 {0} % 하락",
    ),
    ("win rate {#} % of {#}", "승률 {0} % (청산 {1}건)"),
    ("alert success rate {#} % of {#}", "알림 전송 성공률 {0} % (전송 {1}건)"),
    ("{#} guard triggers per hour", "시간당 가드 발동 {0}회"),
    ("{#} events so far", "지금까지 {0}건"),
    ("{#} % of the books of {} live", "{1} 호가창의 {0} %가 Live"),
    ("{} of {} = {#}", "{1}의 {0} = {2} (현재 값)"),
    ("no {} since the last sample", "마지막 표본 이후 {0} 관측 없음"),
    ("the counter of {} was reset", "{0} 카운터가 초기화됨"),
    ("loop iterations at {#} for {#} s", "루프 반복이 {1}초 동안 {0}회에서 멈춤"),
    ("{} has no sample", "{0}의 표본이 없음"),
    ("the operating system's figures have no sample", "운영체제 수치의 표본이 없음"),
    ("loop iterations at {#}", "루프 반복 {0}회"),
    ("{#} closes, {#} needed", "청산 {0}건 (필요 {1}건)"),
    ("{#} closes: {}", "청산 {0}건: {1}"),
    ("net {#} USD, {#} episodes", "순손익 {0} USD, 에피소드 {1}개"),
    ("{#} episodes, {#} needed", "에피소드 {0}개 (필요 {1}개)"),
    ("never: {}", "발생하지 않음: {0}"),
    ("take_profit {#}", "익절 {0}"),
    ("stop_loss {#}", "손절 {0}"),
    ("time_limit {#}", "보유 시간 초과 {0}"),
    ("spread_reversal {#}", "스프레드 반전 {0}"),
    ("undefined (undefined: {})", "정의되지 않음: {0}"),
    ("undefined: {}", "정의되지 않음: {0}"),
    ("undefined ({})", "정의되지 않음: {0}"),
    ("{#} closed trades, {#} needed", "청산 {0}건 (필요 {1}건)"),
    ("{#} s of {#} s", "{0}초 실행 (계획 {1}초)"),
    ("{} was not answered at {#} s: {}", "{0}: {1}초 시점에 응답 없음: {2}"),
    ("{#} of {#} panels", "패널 {1}개 중 {0}개"),
    ("95 % interval {#} to {#} USD", "95 % 신뢰구간 {0} ~ {1} USD"),
    ("at least {#} s needed", "최소 {0}초 필요"),
    ("and {#} more", "그 외 {0}건"),
    ("books waived: {}", "호가창 요건 면제: {0}"),
    (
        "time was scaled: everything ran {} times as fast (time_scale)",
        "시간 배율이 적용됨: 모든 것이 {0}배 빠르게 실행되었습니다 (time_scale)",
    ),
    ("time_scale is {}: every duration is divided by it", "time_scale이 {0}: 모든 시간 값을 이 값으로 나눔"),
    ("the KPI file lacks {#} of {#} fields: {}", "KPI 파일에 필드 {1}개 중 {0}개가 없음: {2}"),
    (
        "{} round trips, which of them were shutdown closes is not known",
        "왕복 거래 {0}건, 그중 종료 시 청산이 몇 건인지는 알 수 없음",
    ),
    ("net {} USD, no journal", "순손익 {0} USD, 저널 없음"),
    (
        "no journal, and {} round trips in {} steps of PnL in the samples, 20 in {} needed",
        "저널이 없고, 표본의 손익 단계 {1}개에 왕복 거래 {0}건 (단계 {2}개에 20건 필요)",
    ),
    ("{#} answers", "응답 {0}건"),
    ("{#} of {#} polls missed", "폴링 {1}회 중 {0}회 누락"),
    ("snapshot of {}", "스냅숏의 실행 {0}"),
    ("{#} of {#} triggers", "발동 {1}건 중 {0}건"),
    ("{#} of 32", "32개 중 {0}개"),
    ("DLQ {#}, {#} in the table, {#} delivered", "DLQ {0}, 테이블 {1}건, 전달 {2}건"),
    ("plain {#} %", "단순 증가율 {0} %"),
    (
        "memory growth {#} %/h, {#} MiB/h, of which {#} %/h, {#} MiB/h proven",
        "메모리 증가 {0} %/h, {1} MiB/h, 그중 입증된 증가 {2} %/h, {3} MiB/h",
    ),
    (
        "the slope is beyond its limit, and no more than {#} %/h of it is proven: the rest may be swings",
        "기울기는 한도를 넘지만 입증된 증가는 {0} %/h뿐이며 나머지는 일시적 변동일 수 있음",
    ),
    ("duration {#} s by the runner, {#} s by the supervisor", "실행 시간: 러너 {0}초, 감독자 {1}초"),
    ("{#} entries, {#} closes, {#} equity points", "진입 {0}건, 청산 {1}건, 자산 평가 시점 {2}개"),
    ("{#} trades, {#} distinct results", "거래 {0}건, 서로 다른 결과 {1}개"),
    (
        "{}: the runner's own figure moved over {#} samples, the supervisor's moved by {#}",
        "{0}: 표본 {1}개에서 러너의 수치가 움직였고, 감독자의 수치는 {2}만큼 움직임",
    ),
    ("{#} scrapes", "수집 {0}회"),
    ("{#} entries", "진입 {0}건"),
    ("{#} sums", "합계 {0}개"),
    ("run {}", "실행 {0}"),
    ("left out: {}", "제외됨: {0}"),
    ("evaluated {#}", "평가 {0}"),
    ("gross_positive {#}", "총 엣지(+) {0}"),
    ("net_positive {#}", "순 엣지(+) {0}"),
    ("above_threshold {#}", "임계값 초과 {0}"),
    ("filled {#}", "체결 {0}"),
    ("{} for {#} s", "{0}, {1}초 동안"),
    ("{} within {#} s", "{0}, {1}초 안에"),
];

/// The texts of the built-in profiles in Korean; a profile of one's own speaks for itself.
const PROFILES: &[(&str, &str)] = &[
    (
        "Smoke 60 s over the Top 20, then 1 h over the Top 50 on real market data: the profile of record.",
        "실제 시세로 상위 20종목 스모크 60초, 이어서 상위 50종목 1시간 실행. 공식 기록용 프로파일입니다.",
    ),
    (
        "d77-4 with a main run of 12 h: leaks, daily boundaries, reconnects.",
        "d77-4의 본 실행을 12시간으로 늘린 프로파일. 누수, 일 경계, 재접속을 확인합니다.",
    ),
    (
        "Everything in about 90 s against a local exchange: for trying the tool and for CI. Never of record.",
        "로컬 거래소를 상대로 약 90초 만에 전 과정을 실행합니다. 도구를 시험하거나 CI에서 쓰며, 공식 기록이 되지 않습니다.",
    ),
    (
        "Run soak-12h with the same binary and the same settings, then propose the next stage with both reports.",
        "같은 바이너리와 같은 설정으로 soak-12h를 실행한 뒤, 두 보고서와 함께 다음 단계를 제안하십시오.",
    ),
    (
        "Propose the next stage with the reports of d77-4 and of this soak.",
        "d77-4 보고서와 이 장시간 실행 보고서를 첨부하여 다음 단계를 제안하십시오.",
    ),
    ("Run d77-4 on real market data.", "실제 시세로 d77-4를 실행하십시오."),
];

/// `about` or `next_stage` of a profile in the report's language.
pub(super) fn of_profile(text: &str, w: &Words) -> String {
    let known = PROFILES.iter().find(|(english, _)| w.is_korean() && *english == text);
    known.map_or(text, |(_, korean)| korean).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;

    fn has_hangul(text: &str) -> bool {
        text.chars().any(|c| ('\u{ac00}'..='\u{d7a3}').contains(&c))
    }

    #[test]
    fn places_match_between_the_languages() {
        for (pattern, sentence) in patterns() {
            for place in 0..pattern.matches('{').count() {
                assert!(sentence.contains(&format!("{{{place}}}")), "{pattern}: {place}");
            }
            assert!(has_hangul(sentence), "{pattern}");
        }
    }

    #[test]
    fn what_the_catalogue_says_has_a_korean_reading() {
        for rule in &RULES {
            assert!(has_hangul(&korean(rule.condition)), "{}: {}", rule.id, rule.condition);
        }
        for criterion in &CRITERIA {
            let words = criterion.threshold.split(|c: char| !c.is_ascii_alphabetic());
            let plain = words.into_iter().all(|word| word.is_empty() || word == "ms");
            assert!(plain || has_hangul(&korean(criterion.threshold)), "{}", criterion.threshold);
        }
    }

    /// What stands in quotes in a source file of the engine, on the lines that `of` accepts. The report names what the engine names, and
    /// may not depend on it.
    fn source(file: &str) -> String {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/src").join(file);
        std::fs::read_to_string(path).unwrap()
    }

    fn quoted(file: &str, of: impl Fn(&str) -> bool) -> Vec<String> {
        let text = source(file);
        let second = |line: &str| line.split('"').skip(1).step_by(2).last().map(str::to_owned);
        text.lines().filter(|line| of(line)).filter_map(second).collect()
    }

    #[test]
    fn every_rule_of_the_guards_has_words() {
        let rules =
            quoted("guards/rules.rs", |line| line.starts_with("pub const") && line.contains("Verdict::"));
        assert!(rules.len() >= 30, "{rules:?}");
        for rule in rules {
            let read = super::super::words::name(&format!("blocked:{rule}"), crate::report::Lang::Ko);
            let own = read.strip_prefix("차단됨: ").unwrap();
            assert!(!own.contains('_') && has_hangul(own), "{rule}: {read}");
            let read = super::super::words::name(&rule, crate::report::Lang::En);
            assert!(!read.contains('_'), "{rule}: {read}");
        }
    }

    #[test]
    fn what_the_engine_does_not_hold_reads_in_korean() {
        let text = source("lib.rs");
        let list = text.split("pub const NOT_BUILT").nth(1).unwrap().split("];").next().unwrap();
        let parts: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
        assert!(!parts.is_empty());
        for part in parts {
            assert!(has_hangul(&korean(part)), "{part}");
        }
    }

    #[test]
    fn seconds_are_short() {
        assert_eq!(
            short_seconds("pending for 1.0001 s of 30 s: 83 round trips"),
            "pending for 1 s of 30 s: 83 round trips"
        );
        assert_eq!(short_seconds("p99 1.2345 ms for 38.96 s"), "p99 1.2345 ms for 39 s");
    }

    #[test]
    fn the_built_in_profiles_have_korean_texts() {
        for name in profile::builtin_names() {
            let found = profile::load(name).unwrap().profile;
            for text in [&found.about, &found.next_stage] {
                assert!(PROFILES.iter().any(|(english, _)| english == text), "{name}: {text}");
            }
        }
    }

    #[test]
    fn reasons_read_in_korean_and_figures_stay() {
        for (english, expected) in [
            ("H6 failed: 0 round trips (threshold >= 10)", "H6 실패: 왕복 거래 0건 (기준: >= 10)"),
            ("M2 not proven: 1 episode, 20 needed", "M2 증명되지 않음: 에피소드 1개 (필요 20개)"),
            ("H6 failed: 1 round trip (threshold >= 10)", "H6 실패: 왕복 거래 1건 (기준: >= 10)"),
            (
                "capped: A3 (Notifier down) is not built in this version (and 5 more)",
                "판정 상한: A3(알림 채널 중단)은(는) 이 버전에 구현되지 않았습니다 (그 외 5건)",
            ),
            (
                "M3 (75 closes: stop_loss 7, take_profit 40); M2 (net -1.5 USD, 1 episode) [funnel: evaluated 61230, filled 83]",
                "M3 (청산 75건: 손절 7, 익절 40); M2 (순손익 -1.5 USD, 에피소드 1개) [퍼널: 평가 61230, 체결 83]",
            ),
            ("12.2583 (journal: holdings at marks)", "12.2583 (저널: 보유 자산을 평가 가격으로 계산)"),
            ("50 (metrics), 50 (sum by type)", "50 (메트릭), 50 (유형별 합계)"),
            ("10 (metrics), 10 log lines", "10 (메트릭), 로그 10행"),
            ("1 (metrics), 1 log line", "1 (메트릭), 로그 1행"),
            ("2 (delivery table), 2 (KPI file)", "2 (전송 기록), 2 (KPI 파일)"),
            (
                "local_log 2 sent, 0 failed (delivery table), local_log 100 (KPI file)",
                "local_log 성공 2건, 실패 0건 (전송 기록), local_log 100 (KPI 파일)",
            ),
            (
                "exit code 0, 0 crash blocks in the log, 0 hangs",
                "종료 코드 0, 로그의 크래시 블록 0개, 진행 정지 0회",
            ),
            (
                "cpu_usage_pct agrees; memory_usage_mb agrees; duration 60 s by the runner, 62 s by the supervisor",
                "cpu_usage_pct 일치; memory_usage_mb 일치; 실행 시간: 러너 60초, 감독자 62초",
            ),
            ("for 30 s", "30초 지속"),
            ("within 60 s", "60초 이내"),
            ("at once", "즉시"),
            (
                "order 7: filled 59.94 s before it arrived; position 3: opened.gap_bps 100, the records give -3.5; and 4 more",
                "주문 7: 거래소에 도착하기 59.94초 전에 체결됨; 포지션 3: opened.gap_bps 값이 100로 기록되었으나 다른 기록으로 계산하면 -3.5; 그 외 4건",
            ),
            (
                "position 3: closed by take_profit, its exit was decided by stop_loss",
                "포지션 3: 청산 사유가 익절로 기록되었으나 결정된 사유는 손절",
            ),
            ("something nobody foresaw 7", "something nobody foresaw 7"),
        ] {
            assert_eq!(korean(english), expected);
        }
    }
}
