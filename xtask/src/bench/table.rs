//! Text in columns: the first is aligned to the left, like every column of words, numbers to the right.

/// How a column is aligned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Column {
    Words(&'static str),
    Numbers(&'static str),
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            Self::Words(title) | Self::Numbers(title) => title,
        }
    }
}

/// The lines of a table, titles first. Cells that a row lacks are empty.
pub(super) fn table(columns: &[Column], rows: &[Vec<String>]) -> String {
    let titles: Vec<String> = columns.iter().map(|column| column.title().to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&titles).chain(rows).collect();
    let cell = |line: &[String], number: usize| line.get(number).cloned().unwrap_or_default();
    let width =
        |number: usize| lines.iter().map(|line| cell(line, number).chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<String> = columns
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(number, (column, &width))| match column {
                Column::Words(_) => format!("{:<width$}", cell(line, number)),
                Column::Numbers(_) => format!("{:>width$}", cell(line, number)),
            })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_left_and_numbers_right() {
        let row = |cells: &[&str]| cells.iter().map(|&cell| cell.to_owned()).collect();
        let columns = [Column::Words("work"), Column::Numbers("s"), Column::Words("verdict")];
        let rows = [row(&["a", "12.5", "ok"]), row(&["longer", "1"]), row(&["ü", "0.1", "over"])];
        assert_eq!(
            table(&columns, &rows),
            "work       s  verdict\n\
             a       12.5  ok\n\
             longer     1\n\
             ü        0.1  over\n"
        );
    }
}
