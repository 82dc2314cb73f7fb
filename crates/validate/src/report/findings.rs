//! What the judge says of single figures, orders and positions, in Korean: cross-checks of KPIs, windows of rules, problems of a
//! journal. The larger sentences are `said`, which looks here too.

/// Whole phrases.
pub(super) const EXACT: &[(&str, &str)] = &[
    ("at once", "즉시"),
    ("memory in the KPI file", "KPI 파일의 메모리"),
    ("CPU in the KPI file", "KPI 파일의 CPU"),
    // What the engine says that it does not hold (`engine::NOT_BUILT`).
    (
        "rebalancing of cash (coin is moved, KRW and USDT are not)",
        "현금 재배분 (코인만 이동하며 KRW와 USDT는 이동하지 않음)",
    ),
    ("hedging by perpetuals", "무기한 선물을 이용한 헤지"),
];

/// Phrases with figures; narrow ones before wide ones.
pub(super) const PATTERNS: &[(&str, &str)] = &[
    // Windows of the watch rules.
    ("for {#} s", "{0}초 지속"),
    ("within {#} s", "{0}초 이내"),
    ("over {#} s", "{0}초 구간"),
    // Cross-checks.
    ("{#} (journal)", "{0} (저널)"),
    ("{#} (journal: holdings at marks)", "{0} (저널: 보유 자산을 평가 가격으로 계산)"),
    ("{#} (journal: equity points)", "{0} (저널: 자산 평가 시점)"),
    ("{#} (journal: conditions recomputed)", "{0} (저널: 발동 조건 재계산)"),
    ("{#} (sum by type)", "{0} (유형별 합계)"),
    ("{} (metrics), {#} (sum by type)", "{0} (메트릭), {1} (유형별 합계)"),
    ("{} (metrics), {#} log lines", "{0} (메트릭), 로그 {1}행"),
    ("{} (metrics)", "{0} (메트릭)"),
    ("{#} log lines", "로그 {0}행"),
    ("{} (scrape)", "{0} (메트릭 수집)"),
    ("{} (delivery table), {} (KPI file)", "{0} (전송 기록), {1} (KPI 파일)"),
    ("{} (delivery table)", "{0} (전송 기록)"),
    (
        "{#} ERROR lines by the runner, {#} in the log, {#} (KPI file)",
        "ERROR 행: 러너 {0}, 로그 {1}, KPI 파일 {2}",
    ),
    ("{} (KPI file)", "{0} (KPI 파일)"),
    ("{} {#} sent", "{0} 성공 {1}건"),
    ("{#} failed", "실패 {0}건"),
    ("runner's counter {#} % against {#} %", "러너 카운터 {0} %, 감독자 {1} %"),
    ("KPI file {} {#} % against {#} %", "KPI 파일 {0} {1} %, 감독자 {2} %"),
    ("KPI file {} {#} MB against {#} MB", "KPI 파일 {0} {1} MB, 감독자 {2} MB"),
    (
        "exit code {#}, {#} crash blocks in the log, {#} hangs",
        "종료 코드 {0}, 로그의 크래시 블록 {1}개, 진행 정지 {2}회",
    ),
    ("{} agrees", "{0} 일치"),
    // Problems of a journal: kinder than the market.
    ("order {#}: filled {#} s before it arrived", "주문 {0}: 거래소에 도착하기 {1}초 전에 체결됨"),
    ("order {#}: it arrives {#} s before it was sent", "주문 {0}: 전송되기 {1}초 전에 도착함"),
    ("order {#}: filled at {#}, beyond its limit of {#}", "주문 {0}: 지정가 {2}보다 불리한 {1}에 체결됨"),
    ("order {#}: a level of {#} at {#}", "주문 {0}: 체결 기록에 가격 {2}, 수량 {1}인 호가가 있음"),
    (
        "order {#}: {#} taken at {#}, {#} displayed, what the same instant's fills took included",
        "주문 {0}: 가격 {2}에서 {1} 체결, 표시 잔량은 {3} (같은 시점의 다른 체결까지 합산)",
    ),
    (
        "order {#}: its levels are not in the book's order, each price once",
        "주문 {0}: 체결한 호가가 호가창 순서와 다르거나 같은 가격이 중복됨",
    ),
    ("order {#}: sent a second time", "주문 {0}: 두 번 전송됨"),
    // And of what positions say of themselves.
    ("position {#}: opened a second time", "포지션 {0}: 진입이 두 번 기록됨"),
    ("position {#}: a second exit", "포지션 {0}: 청산 결정이 두 번 기록됨"),
    (
        "position {#}: opened with {#}, its fills match {#}",
        "포지션 {0}: 진입 수량이 {1}로 기록되었으나 체결로는 {2}",
    ),
    (
        "position {#}: a leg of {#} USD, its fills give {#}",
        "포지션 {0}: 한쪽 금액이 {1} USD로 기록되었으나 체결로는 {2} USD",
    ),
    (
        "position {#}: closed as opened at {#} ns, it was opened at {#} ns",
        "포지션 {0}: 청산 기록의 진입 시각은 {1} ns이나 진입 기록은 {2} ns",
    ),
    (
        "position {#}: closed by {}, its exit was decided by {}",
        "포지션 {0}: 청산 사유가 {1}로 기록되었으나 결정된 사유는 {2}",
    ),
    (
        "position {#}: {} {#}, the records give {#}",
        "포지션 {0}: {1} 값이 {2}로 기록되었으나 다른 기록으로 계산하면 {3}",
    ),
];
